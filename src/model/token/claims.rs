//! What a token must say to sign a user in.

use serde_json::{Map, Value};

use super::fault::TokenFault;
use crate::model::name::Username;
use crate::model::time::Time;

/// By how much the clock of an issuer may differ, in seconds.
const SLACK: i64 = 60;
/// The last second that dates have: the end of the year 9999.
const LAST: i64 = 253_402_300_799;
/// What a claim with the name of a user may have at most, in bytes.
const MAX_NAME: usize = 320;

/// The issuer whose tokens sign in, and what these must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// The issuer, to the letter.
    pub issuer: String,
    /// For whom the token must be.
    pub audience: String,
    /// The claim with the name of the user.
    pub claim: String,
    /// Other claims, and what they must be.
    pub matches: Vec<(String, String)>,
    /// All of these scopes must be granted.
    pub scopes: Vec<String>,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The user it signs in.
    pub username: Username,
    /// It is accepted until a minute later, and must not be remembered for longer than this.
    pub expires_at: Time,
}

impl TokenRules {
    pub(super) fn verify(
        &self,
        claims: &Map<String, Value>,
        now: Time,
    ) -> Result<VerifiedToken, TokenFault> {
        let claim = |name: &str| claims.get(name);
        if claim("iss") != Some(&Value::String(self.issuer.clone())) {
            return Err(TokenFault::Claim("the token is of another issuer"));
        }
        if !names(claim("aud"), &self.audience) {
            return Err(TokenFault::Claim("the token is for another audience"));
        }
        let Some(expires_at) = claim("exp") else {
            return Err(TokenFault::Claim("the token never expires"));
        };
        let expires_at = time(expires_at)?;
        if now.epoch() >= expires_at.epoch() + SLACK {
            return Err(TokenFault::Expired);
        }
        for name in ["nbf", "iat"] {
            let from = claim(name).map(time).transpose()?;
            if from.is_some_and(|from| from.epoch() > now.epoch() + SLACK) {
                return Err(TokenFault::Early);
            }
        }
        self.verify_scopes(claims)?;
        for (name, value) in &self.matches {
            if claim(name).and_then(Value::as_str) != Some(value) {
                return Err(TokenFault::Claim("a claim of the token is not as required"));
            }
        }
        Ok(VerifiedToken {
            username: self.username(claims)?,
            expires_at,
        })
    }

    fn verify_scopes(&self, claims: &Map<String, Value>) -> Result<(), TokenFault> {
        // The second is what some issuers write instead.
        let granted = claims.get("scope").or_else(|| claims.get("scp"));
        let is_granted = |scope: &String| match granted {
            Some(Value::String(all)) => all.split(' ').any(|one| one == scope),
            other => names(other, scope),
        };
        if self.scopes.iter().all(is_granted) {
            return Ok(());
        }
        Err(TokenFault::Claim("the token lacks a required scope"))
    }

    fn username(&self, claims: &Map<String, Value>) -> Result<Username, TokenFault> {
        const UNVERIFIED: TokenFault =
            TokenFault::Claim("the issuer did not verify the e-mail address in the token");
        let name = claims.get(&self.claim).and_then(Value::as_str);
        let name = name.filter(|name| name.len() <= MAX_NAME);
        // Some issuers let users type any address.
        if self.claim == "email"
            && matches!(claims.get("email_verified"), Some(value) if *value != Value::Bool(true))
        {
            return Err(UNVERIFIED);
        }
        let username = name.and_then(|name| name.parse().ok());
        username.ok_or(TokenFault::Claim("the token names no user"))
    }
}

/// Returns whether a claim is this text, or a list with it.
fn names(claim: Option<&Value>, text: &str) -> bool {
    match claim {
        Some(Value::String(one)) => one == text,
        // A list with anything but text in it is not valid.
        Some(Value::Array(list)) => {
            list.iter().all(Value::is_string) && list.iter().any(|one| one == text)
        }
        _ => false,
    }
}

/// Reads a time. A number in quotes is not one: skipped checks began so elsewhere.
fn time(claim: &Value) -> Result<Time, TokenFault> {
    const BAD: TokenFault = TokenFault::Claim("a time in the token is not valid");
    let Value::Number(number) = claim else {
        return Err(BAD);
    };
    let seconds = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        (None, Some(seconds)) if (0.0..=LAST as f64).contains(&seconds) => seconds as i64,
        _ => return Err(BAD),
    };
    if !(0..=LAST).contains(&seconds) {
        return Err(BAD);
    }
    Ok(Time::from_epoch(seconds))
}
