//! Who may read and who may write.

use std::str::FromStr;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What an account may do with every repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// List and fetch.
    Read,
    /// Also push.
    Write,
}

/// Somebody who may log in, by name and password or with the password as a bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    name: String,
    password: String,
    access: Access,
}

impl Account {
    /// An account; the name has no colon in it.
    #[must_use]
    pub fn new(name: &str, password: &str, access: Access) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            access,
        }
    }

    /// The login name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the account may do.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The value of the `Authorization` header that logs in by basic authentication.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!(
            "Basic {}",
            STANDARD.encode(format!("{}:{}", self.name, self.password))
        )
    }

    pub(crate) fn is_authorized_by(&self, header: &str) -> bool {
        header == self.authorization() || header == format!("Bearer {}", self.password)
    }
}

/// Parses `name:password:read` or `name:password:write`; the password may contain colons.
impl FromStr for Account {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        const EXPECTED: &str = "expected name:password:read or name:password:write";
        let (name, rest) = text.split_once(':').context(EXPECTED)?;
        let (password, access) = rest.rsplit_once(':').context(EXPECTED)?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => bail!(EXPECTED),
        };
        if name.is_empty() || password.is_empty() {
            bail!(EXPECTED);
        }
        Ok(Self::new(name, password, access))
    }
}

/// The password stays out of panics and logs.
impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Account")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_parsed_and_print_no_password() {
        let account: Account = "ci:pass:word:write".parse().unwrap();
        assert_eq!(account, Account::new("ci", "pass:word", Access::Write));
        assert!(!format!("{account:?}").contains("pass:word"));
        for bad in ["", "ci", "ci:pw", "ci:pw:admin", ":pw:read", "ci::read"] {
            assert!(bad.parse::<Account>().is_err(), "{bad}");
        }
    }
}
