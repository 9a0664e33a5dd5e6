//! Data syncs, read from the servers' Prometheus metrics.

use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::error::LoadError;
use crate::http::{Connection, Expect};

/// Syncs of drives.
const DRIVE_SYNCS: &str = "holdfast_drive_syncs_total";
/// Syncs of the index.
const INDEX_SYNCS: &str = "holdfast_index_syncs_total";

/// Counters since the servers' start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Syncs {
    /// `holdfast_drive_syncs_total`, over all labels and URLs.
    pub drive: f64,
    /// `holdfast_index_syncs_total`, likewise.
    pub index: f64,
}

impl Syncs {
    /// Reads the counters from every URL and adds them up; `None` without URLs.
    ///
    /// # Errors
    /// `Setup` if a URL does not answer 200 or has neither counter.
    pub fn scrape(urls: &[Endpoint], timeout: Duration) -> Result<Option<Self>, LoadError> {
        let mut sum = Self::default();
        let mut found = false;
        for url in urls {
            let text = fetch(url, timeout)?;
            let (drive, index) = (counter(&text, DRIVE_SYNCS), counter(&text, INDEX_SYNCS));
            found |= drive.is_some() || index.is_some();
            sum.drive += drive.unwrap_or_default();
            sum.index += index.unwrap_or_default();
        }
        match urls.first() {
            None => Ok(None),
            Some(_) if found => Ok(Some(sum)),
            Some(url) => Err(setup(
                url,
                format!("neither {DRIVE_SYNCS} nor {INDEX_SYNCS}"),
            )),
        }
    }
}

fn setup(url: &Endpoint, reason: String) -> LoadError {
    LoadError::Setup {
        doing: "read metrics".to_owned(),
        endpoint: url.url().to_owned(),
        reason,
    }
}

fn fetch(url: &Endpoint, timeout: Duration) -> Result<String, LoadError> {
    let mut connection = Connection::new(url.address(), timeout);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\naccept: text/plain\r\nconnection: close\r\n\r\n",
        url.path(),
        url.authority()
    );
    let mut pieces = [std::io::IoSlice::new(request.as_bytes())];
    let mut text = Vec::new();
    let head = connection
        .exchange(&mut pieces, Expect::Body)
        .and_then(|head| {
            connection
                .body(&head, &mut |piece| text.extend_from_slice(piece))
                .map(|_| head)
        })
        .map_err(|failure| setup(url, failure.to_string()))?;
    if head.status != 200 {
        return Err(setup(url, format!("HTTP {}", head.status)));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The sum of all samples of `name`; `None` if there is none.
fn counter(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::{DRIVE_SYNCS, counter};

    #[test]
    fn a_counter_is_summed_over_its_labels() {
        let text = "# HELP holdfast_drive_syncs_total Syncs.\n\
            # TYPE holdfast_drive_syncs_total counter\n\
            holdfast_drive_syncs_total{drive=\"0\"} 5\n\
            holdfast_drive_syncs_total{drive=\"}1 9\"} 7 1700000000\n\
            holdfast_drive_syncs_total_other 100\n\
            holdfast_index_syncs_total 3\n";
        assert_eq!(counter(text, DRIVE_SYNCS), Some(12.0));
        assert_eq!(counter(text, "holdfast_index_syncs_total"), Some(3.0));
        assert_eq!(counter(text, "holdfast_absent_total"), None);
    }
}
