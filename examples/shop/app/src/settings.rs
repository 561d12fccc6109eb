//! Values that differ between releases: the lines that the demo edits, one at a time.

/// Name in the response of `/`. Any other text is a code change without further effects.
pub(crate) const NAME: &str = "shop";

/// Maximum key length in bytes. The tests expect 128 and fail for any other number.
pub(crate) const MAX_KEY_LENGTH: usize = 128;

/// `false` makes a release whose `/health` never returns 200, although its tests pass and it starts.
pub(crate) const HEALTHY: bool = true;
