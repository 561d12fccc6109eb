//! What a release changes: the lines that a demonstration edits, one at a time.

/// Name that `/` answers with. Any other text is a change of code that nothing else notices.
pub(crate) const NAME: &str = "shop";

/// Longest key in bytes. The tests expect 128: any other number fails them.
pub(crate) const MAX_KEY_LENGTH: usize = 128;

/// `false` is a release whose `/health` never answers 200, while its tests pass and it starts.
pub(crate) const HEALTHY: bool = true;
