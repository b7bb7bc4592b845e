//! Reading and editing wire bytes against decode, modify and encode with prost-reflect, on generated messages that
//! are encoded in every way the format allows: fields repeated and in any order, lists split, packed and not, map
//! entries reversed, incomplete and superseded, members of oneofs side by side, unknown fields.

#[cfg(test)]
mod messages;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod strict;
