//! The few requests of HTTP that those who scrape metrics send. Each connection is for one.

/// The most bytes of a request. No request that is answered has a body.
pub const MAX_REQUEST: usize = 8 * 1024;
/// The most header fields.
const MAX_FIELDS: usize = 64;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpRequest {
    /// `/metrics`; whether `OpenMetrics` is understood.
    Metrics {
        /// Otherwise the older format is.
        open: bool,
    },
    /// `/healthz`
    Health,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpStep {
    /// The beginning of a request.
    More,
    /// A whole one.
    Request(HttpRequest),
    /// One that gets this answer.
    Refuse(HttpStatus),
}

/// What an answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpStatus {
    /// Here it is.
    Ok,
    /// It is no request.
    BadRequest,
    /// There is nothing of this name.
    NotFound,
    /// It is not a GET.
    NotAllowed,
    /// Its fields are too long or too many.
    FieldsTooLarge,
    /// The store cannot be read.
    Unavailable,
}

/// Reads what a client has sent so far. Never panics, whatever it is.
pub fn read(bytes: &[u8]) -> HttpStep {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let is_long = bytes.len() >= MAX_REQUEST;
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => decide(&request),
        Ok(httparse::Status::Partial) if !is_long => HttpStep::More,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            HttpStep::Refuse(HttpStatus::FieldsTooLarge)
        }
        Err(_) => HttpStep::Refuse(HttpStatus::BadRequest),
    }
}

fn decide(request: &httparse::Request<'_, '_>) -> HttpStep {
    let path = request.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let asked = match path {
        "/metrics" => HttpRequest::Metrics {
            open: takes_open_metrics(request.headers),
        },
        "/healthz" => HttpRequest::Health,
        _ => return HttpStep::Refuse(HttpStatus::NotFound),
    };
    if request.method != Some("GET") {
        return HttpStep::Refuse(HttpStatus::NotAllowed);
    }
    HttpStep::Request(asked)
}

/// Prometheus names it first; a browser and curl do not.
fn takes_open_metrics(fields: &[httparse::Header<'_>]) -> bool {
    fields
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("accept"))
        .filter_map(|field| std::str::from_utf8(field.value).ok())
        .flat_map(|value| value.split(','))
        .map(|kind| kind.split(';').next().unwrap_or_default().trim())
        .any(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"))
}

impl HttpStatus {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed",
            Self::FieldsTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }

    /// Returns the text of an answer that is an error.
    const fn text(self) -> &'static str {
        match self {
            Self::Ok => "ok\n",
            Self::BadRequest => "this is not a request of HTTP/1.1\n",
            Self::NotFound => "there are only /metrics and /healthz\n",
            Self::NotAllowed => "only GET is allowed\n",
            Self::FieldsTooLarge => "the request is too long\n",
            Self::Unavailable => "the store cannot be read\n",
        }
    }

    /// Returns a whole answer that says no more than this.
    pub fn answer(self) -> String {
        answer(self, "text/plain; charset=utf-8", self.text())
    }
}

/// Returns a whole answer with this text.
pub fn answer(status: HttpStatus, content_type: &str, text: &str) -> String {
    let allow = match status {
        HttpStatus::NotAllowed => "Allow: GET\r\n",
        _ => "",
    };
    format!(
        "HTTP/1.1 {}\r\n{allow}Content-Type: {content_type}\r\nContent-Length: {}\r\n\
        Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{text}",
        status.line(),
        text.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_pages_are_there() {
        let metrics = |open| HttpStep::Request(HttpRequest::Metrics { open });
        let refuse = HttpStep::Refuse;
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.5,*/*";
        for (request, step) in [
            ("GET /metrics HTTP/1.1\r\n\r\n", metrics(false)),
            ("GET /metrics?x=1 HTTP/1.0\r\n\r\nrest", metrics(false)),
            (
                &format!("GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {prometheus}\r\n\r\n"),
                metrics(true),
            ),
            (
                "GET /healthz HTTP/1.1\r\n\r\n",
                HttpStep::Request(HttpRequest::Health),
            ),
            ("GET / HTTP/1.1\r\n\r\n", refuse(HttpStatus::NotFound)),
            (
                "GET /metrics/ HTTP/1.1\r\n\r\n",
                refuse(HttpStatus::NotFound),
            ),
            (
                "POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
                refuse(HttpStatus::NotAllowed),
            ),
            (
                "HEAD /healthz HTTP/1.1\r\n\r\n",
                refuse(HttpStatus::NotAllowed),
            ),
            ("GET /metrics HTTP/1.1\r\nhost", HttpStep::More),
            ("", HttpStep::More),
            ("\x16\x03\x01\x02", refuse(HttpStatus::BadRequest)),
            (
                "GET /metrics HTTP/2.0\r\n\r\n",
                refuse(HttpStatus::BadRequest),
            ),
        ] {
            assert_eq!(read(request.as_bytes()), step, "{request:?}");
        }
    }

    #[test]
    fn long_requests_end() {
        let too_large = HttpStep::Refuse(HttpStatus::FieldsTooLarge);
        let long = format!("GET /metrics HTTP/1.1\r\na: {}", "x".repeat(MAX_REQUEST));
        assert_eq!(read(&long.as_bytes()[..MAX_REQUEST]), too_large);
        assert_eq!(read(&long.as_bytes()[..MAX_REQUEST - 1]), HttpStep::More);
        let many = "a: b\r\n".repeat(MAX_FIELDS + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
        assert_eq!(read(many.as_bytes()), too_large);
        let path = format!("GET /{}", "x".repeat(MAX_REQUEST));
        assert_eq!(read(path.as_bytes()), too_large);
    }

    #[test]
    fn answers_say_their_length() {
        let answer = HttpStatus::NotAllowed.answer();
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n"));
        assert!(answer.contains("\r\nContent-Length: 20\r\n"));
        assert!(answer.ends_with("\r\n\r\nonly GET is allowed\n"));
    }
}
