"""STA and SeqVLAD: what attends, what gathers, their options and published weights."""
