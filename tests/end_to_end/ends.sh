# Sourced by the tests that run the tools: fail(), ends(), the folder $bin of the tools, a temporary folder to work in.
set -uo pipefail
bin=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_WAIT_POLICY=passive FAIRPRUNE_STATE=$work/state
failures=0 checks=0
: >used

fail() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }

# ends CODE TEXT TOOL ARGUMENT...: runs it; TEXT must stand on stdout (code 0) or, otherwise, in the last line
# of stderr, which starts with the tool's name.
ends() {
    local code=$1 text=$2 tool=$3 got=0 said
    shift 2
    echo "$*" >>used
    shift
    "$bin/$tool" "$@" >out 2>err || got=$?
    checks=$((checks + 1))
    [ $got -eq "$code" ] || fail "$tool $*: ended with $got, not $code: $(tail -n 2 err)"
    if [ "$code" -eq 0 ]; then said=$(cat out err); else said=$(tail -n 1 err); fi
    [[ $said == *"$text"* ]] || fail "$tool $*: does not say '$text' but: ${said:0:600}"
    [ "$code" -eq 0 ] || [[ $said == "$tool: "* ]] || fail "$tool $*: the error does not start with its name: $said"
}

# The last line of a test.
finish() {
    echo "$checks runs of the tools, $failures failures"
    [ $failures -eq 0 ]
}
