# Sourced by the scripts whose steps take minutes.

# with_progress LOG COMMAND...
#
# Runs a command with its output in the file LOG. Says every half minute how long it has run and what LOG's last line is; shows
# the end of LOG if the command fails. Returns the command's status.
with_progress() {
  local log=$1 status=0 ticker idle
  shift
  : >"$log"
  # Nothing is ever written here: `read` with a time limit is a pause without a process that could outlive this one.
  exec {idle}<> <(:)
  (
    SECONDS=0 next=30
    # A second at a time: Ctrl-C does not end it, but the end of the main shell does.
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
