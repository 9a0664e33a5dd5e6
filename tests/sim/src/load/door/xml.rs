//! Reading the few documents that clients are answered with.
//!
//! Owns: finding elements by name; what they hold has no markup but entities.

/// The contents of the first element of this name.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = text.find(&open)? + open.len();
    let len = text[from..].find(&close)?;
    Some(&text[from..from + len])
}

/// The elements of any of these names, in the order of the document: place in `names`, contents.
pub(super) fn elements<'a>(mut text: &'a str, names: &[&str]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    loop {
        let first = names.iter().enumerate().filter_map(|(place, name)| {
            let at = text.find(&format!("<{name}>"))?;
            Some((at, place))
        });
        let Some((at, place)) = first.min() else {
            return found;
        };
        let Some(contents) = element(&text[at..], names[place]) else {
            return found;
        };
        found.push((place, contents));
        text = &text[at + contents.len() + 2 * names[place].len() + 5..];
    }
}

/// Text without entities.
pub(super) fn plain(text: &str) -> String {
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"");
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    text.replace("&amp;", "&")
}

/// An entity tag without its quotes.
pub(super) fn unquoted(text: &str) -> String {
    plain(text).trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_in_the_order_of_the_document() {
        let text = "<L><V><K>a</K></V><D><K>b</K></D><V><K>c&amp;</K></V></L>";
        let found = elements(text, &["V", "D"]);
        let keys: Vec<(usize, String)> = found
            .into_iter()
            .map(|(place, it)| (place, plain(element(it, "K").unwrap_or_default())))
            .collect();
        let expected = [(0, "a"), (1, "b"), (0, "c&")].map(|(place, key)| (place, key.to_owned()));
        assert_eq!(keys, expected);
        assert_eq!(element(text, "X"), None);
        assert_eq!(unquoted("&quot;abc&quot;"), "abc");
    }
}
