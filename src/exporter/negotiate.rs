//! Content negotiation: in which of two text formats a collector wants its scrape (RFC 9110, 12.5.1).

/// A format of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
}

/// How well a media range fits a format: the higher the more specific.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// `*/*`.
    Anything,
    /// `text/*`.
    Type,
    /// `text/plain`.
    Subtype,
    /// `text/plain;version=0.0.4`.
    Version,
}

impl Format {
    /// The format for these values of the Accept header. Without any it is OpenMetrics; if none is acceptable it is
    /// Prometheus' format, which every collector reads.
    pub fn accepted<'a>(accept: impl IntoIterator<Item = &'a str>) -> Self {
        let ranges: Vec<&str> =
            accept.into_iter().flat_map(|value| value.split(',')).map(str::trim).filter(|r| !r.is_empty()).collect();
        if ranges.is_empty() {
            return Self::OpenMetrics;
        }
        // Of equal qualities the one that is named more precisely, and of these the later.
        let wanted = [Self::Prometheus, Self::OpenMetrics].into_iter().filter_map(|format| {
            let (fit, quality) = ranges.iter().filter_map(|range| format.fit(range)).max_by_key(|(fit, _)| *fit)?;
            (quality > 0).then_some((quality, fit, format))
        });
        wanted.max_by_key(|(quality, fit, _)| (*quality, *fit)).map_or(Self::Prometheus, |(.., format)| format)
    }

    /// The Content-Type of the format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    const fn media(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
            Self::Prometheus => ("text", "plain", "0.0.4"),
        }
    }

    /// How well a media range fits, and its quality in thousandths; none where it does not fit.
    fn fit(self, range: &str) -> Option<(Fit, u16)> {
        let (own, sub, version) = self.media();
        let mut parts = range.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut fit = match (kind, subtype) {
            ("*", "*") => Fit::Anything,
            (kind, "*") if kind.eq_ignore_ascii_case(own) => Fit::Type,
            (kind, subtype) if kind.eq_ignore_ascii_case(own) && subtype.eq_ignore_ascii_case(sub) => Fit::Subtype,
            _ => return None,
        };
        let mut quality = 1000;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = (value.parse::<f64>().ok()?.clamp(0.0, 1.0) * 1000.0).round() as u16,
                "version" if value != version => return None,
                "version" => fit = Fit::Version,
                "charset" if !value.eq_ignore_ascii_case("utf-8") => return None,
                // Others, such as `escaping`, make no difference to names of plain letters.
                _ => {}
            }
        }
        Some((fit, quality))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_gets_the_format_that_it_asks_for() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, wanted) in [
            ("", OpenMetrics),
            ("*/*", OpenMetrics),
            ("text/plain;version=0.0.4", Prometheus),
            ("text/plain; version=\"0.0.4\"; charset=UTF-8", Prometheus),
            ("TEXT/PLAIN", Prometheus),
            ("text/*", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            (prometheus, OpenMetrics),
            ("text/plain;version=0.0.4;q=1,*/*;q=0.1", Prometheus),
            ("text/plain;version=0.0.4,*/*", Prometheus),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", Prometheus),
            ("application/openmetrics-text;q=0,*/*", Prometheus),
            ("text/plain;q=0,*/*", OpenMetrics),
            ("*/*;q=0.5,text/plain;q=0.2", OpenMetrics),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", OpenMetrics),
            ("text/plain;version=1.0.0", Prometheus),
            ("nonsense", Prometheus),
        ] {
            assert_eq!(Format::accepted([accept]), wanted, "{accept}");
        }
        assert_eq!(Format::accepted([]), OpenMetrics);
        assert_eq!(Format::accepted(["application/json", "text/plain"]), Prometheus, "two headers are one list");
    }
}
