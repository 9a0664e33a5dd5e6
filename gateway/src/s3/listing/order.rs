//! Versions and delete markers in the one order that they have.
//!
//! Owns: putting the elements of an answer into the order of the listing. The S3 library writes one
//! kind behind the other; clients that read the document as it comes take its order for that of the
//! versions.
//! Leaves to others: the elements themselves.

use http::Response;
use http::header::CONTENT_LENGTH;
use s3s::Body;

const VERSION: (&str, &str) = ("<Version>", "</Version>");
const MARKER: (&str, &str) = ("<DeleteMarker>", "</DeleteMarker>");

/// Of each entry of a page whether it is a delete marker, for [`put_in_order`].
#[derive(Clone, Debug)]
pub(in crate::s3) struct Interleaved(pub Vec<bool>);

/// Puts the entries of an answer that says its order ([`Interleaved`]) into that order.
pub(in crate::s3) fn put_in_order(answer: &mut Response<Body>) {
    let Some(Interleaved(order)) = answer.extensions_mut().remove::<Interleaved>() else {
        return;
    };
    let document = answer.body().bytes();
    let text = document.as_deref().and_then(|it| str::from_utf8(it).ok());
    if let Some(ordered) = text.and_then(|text| interleaved(text, &order)) {
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::from(ordered);
    }
}

/// The document in this order; `None` if it has other entries.
fn interleaved(text: &str, order: &[bool]) -> Option<String> {
    let (before, markers, text) = split(text, MARKER);
    let (between, versions, after) = split(text, VERSION);
    let (mut markers, mut versions) = (markers.into_iter(), versions.into_iter());
    let mut ordered = format!("{before}{between}");
    for &is_marker in order {
        ordered += match is_marker {
            true => markers.next()?,
            false => versions.next()?,
        };
    }
    ordered += after;
    let is_whole = markers.next().is_none() && versions.next().is_none();
    is_whole.then_some(ordered)
}

/// What is before a row of elements, these, and what is behind it. Text in them has no markup.
fn split<'a>(text: &'a str, (open, close): (&str, &str)) -> (&'a str, Vec<&'a str>, &'a str) {
    let start = text.find(open).unwrap_or(0);
    let (before, mut rest) = text.split_at(start);
    let mut elements = Vec::new();
    while rest.starts_with(open)
        && let Some(end) = rest.find(close)
    {
        let (element, behind) = rest.split_at(end + close.len());
        elements.push(element);
        rest = behind;
    }
    (before, elements, rest)
}

#[cfg(test)]
mod tests {
    use super::interleaved;

    const TEXT: &str = "<L><DeleteMarker>1</DeleteMarker><DeleteMarker>4</DeleteMarker>\
                        <MaxKeys>9</MaxKeys><Version>2</Version><Version>3</Version></L>";

    #[test]
    fn entries_come_in_the_order_of_the_listing() {
        let ordered = interleaved(TEXT, &[true, false, false, true]).unwrap();
        let expected = "<L><MaxKeys>9</MaxKeys><DeleteMarker>1</DeleteMarker>\
                        <Version>2</Version><Version>3</Version><DeleteMarker>4</DeleteMarker></L>";
        assert_eq!(ordered, expected);
    }

    #[test]
    fn a_document_of_one_kind_or_none_stays_as_it_is() {
        for (text, order) in [
            ("<L><Version>2</Version></L>", vec![false]),
            (
                "<L><DeleteMarker>2</DeleteMarker><Name>b</Name></L>",
                vec![true],
            ),
            ("<L><Name>b</Name></L>", vec![]),
        ] {
            let ordered = interleaved(text, &order).unwrap();
            assert_eq!(ordered.len(), text.len());
        }
        assert_eq!(interleaved(TEXT, &[true, false]), None, "others are there");
        assert_eq!(interleaved(TEXT, &[false; 4]), None);
    }
}
