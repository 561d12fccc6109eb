//! Inputs and outputs of the steps, as the state machine passes them.
