# Sourced by scripts with steps that take minutes.

# with_progress LOG COMMAND...
#
# Runs a command and writes its output to the file LOG. Every 30 seconds, prints the elapsed time and the last line of LOG. Prints
# the end of LOG if the command fails. Returns the command's status.
with_progress() {
  local log=$1 status=0 ticker idle
  shift
  : >"$log"
  # Nothing is written to this pipe: `read` with a timeout pauses without a process that could outlive this one.
  exec {idle}<> <(:)
  (
    SECONDS=0 next=30
    # One second at a time: Ctrl-C does not end this loop, but the end of the main shell does.
    until read -rt 1 -u "$idle"; do
      kill -0 $$ 2>/dev/null || exit 0
      ((SECONDS >= next)) || continue
      next=$((next + 30))
      printf '   %s s: %s\n' "$SECONDS" "$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-110)"
    done
  ) &
  ticker=$!
  "$@" >"$log" 2>&1 || status=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  exec {idle}>&-
  [[ $status == 0 ]] || tail -n 60 "$log" >&2
  return "$status"
}
