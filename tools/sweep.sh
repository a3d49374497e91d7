#!/usr/bin/env bash
# Fine-tune once for every row of a table and keep the best run, with nothing but a shell and jq.
#
#   tools/sweep.sh SWEEP_CSV BASE_CONF OUT_DIR [METRIC]
#
# The first line of SWEEP_CSV has dotted keys of the configuration, every line below it is one run:
#
#   train.optimizer.lr,objectives.0.label_smoothing
#   1e-3,0.0
#   5e-4,0.1
#
# Runs are compared on the validation split; the best one is then scored on the test split, once, as `test`. A cell is
# what --set would take; one that contains a comma is put in double quotes, as spreadsheets do. The metric
# (default: cider) is a number in the tool's last line. OUT_DIR/results.csv gets one row per run: its parameters, the
# metric, work_dir, status and seconds. Rows that are already there are skipped and an interrupted run is resumed, so
# after a kill the same command continues; remove a row from results.csv to repeat its run. Only the best run keeps its
# snapshots and model directories. The last line of stdout is one JSON object with runs and best.
#
#   RULE=min     the smallest number is the best (default: max)
#   KEEP=1       keep the snapshots and model directories of all runs
#   FINETUNE     the command of a run (default: python FOLDER_OF_THIS_SCRIPT/finetune.py); split at spaces
set -u

usage() { echo "usage: $0 SWEEP_CSV BASE_CONF OUT_DIR [METRIC]" >&2; exit 2; }
fail() { echo "sweep.sh: error: $*" >&2; exit 2; }

[ $# -ge 3 ] && [ $# -le 4 ] || usage
table=$1 base=$2 out=$3 metric=${4:-cider}
rule=${RULE:-max}
finetune=${FINETUNE:-python $(dirname "$0")/finetune.py}
split=${FINETUNE:+null}
split=${split:-'"val"'}
command -v jq >/dev/null || fail "jq is not installed; see https://jqlang.org/download"
[ -f "$table" ] || fail "no table of parameters $table"
[ -f "$base" ] || fail "no configuration file $base"
case $rule in max | min) ;; *) fail "RULE must be max or min, found '$rule'" ;; esac

results=$out/results.csv
mkdir -p "$out/runs" || exit 1

# One sweep a folder. The runs inherit the lock, so after a kill -9 the next sweep waits for a run that was left behind.
if command -v flock >/dev/null; then
    exec 9>>"$out/.sweep.lock"
    flock -n 9 || { echo "sweep.sh: waiting for another sweep, or a run it left behind, in $out" >&2; flock 9; }
fi

# The cells of every line of a table, as a JSON list a line.
cells='
def cells: ltrimstr("\ufeff") | rtrimstr("\r") + ","
    | [match("(?:\"((?:[^\"]|\"\")*)\"|([^,]*)),"; "g")
       | .captures as $c | if $c[0].string != null then $c[0].string | gsub("\"\""; "\"") else $c[1].string end];
'
header=$(head -n 1 "$table" | jq -Rc "$cells cells")
expected_header=$(jq -nr --argjson header "$header" --arg metric "$metric" '$header + [$metric, "work_dir", "status", "seconds"] | @csv')
if [ ! -f "$results" ]; then
    printf '%s\n' "$expected_header" >"$results.new" && mv "$results.new" "$results" || exit 1
elif [ "$(head -n 1 "$results")" != "$expected_header" ]; then
    fail "$results has the columns $(head -n 1 "$results"), expected $expected_header; use another OUT_DIR"
fi

# The rows of results.csv as JSON objects.
read_results() {
    jq -Rnc --argjson header "$header" --arg metric "$metric" "$cells"'
        [inputs | cells] | .[1:][]
        | . as $row | ($header | length) as $n
        | {parameters: ([range($n) | {key: $header[.], value: $row[.]}] | from_entries),
           ($metric): ($row[$n] | if . == "" then null else tonumber end),
           work_dir: $row[$n + 1], status: $row[$n + 2], seconds: ($row[$n + 3] | tonumber)}' "$results"
}

# The best of them; null while none is done.
best_run() {
    read_results | jq -sc --arg metric "$metric" --arg rule "$rule" '
        map(select(.status == "done")) | if length == 0 then null
        elif $rule == "max" then (map(.[$metric]) | max) as $m | first(.[] | select(.[$metric] == $m))
        else (map(.[$metric]) | min) as $m | first(.[] | select(.[$metric] == $m)) end'
}

# Delete the snapshots and model directories of every finished run but the best.
drop_the_others() {
    [ "${KEEP:-}" = 1 ] && return 0
    local kept
    kept=$(best_run | jq -r '.work_dir // ""')
    read_results | jq -r 'select(.status == "done") | .work_dir' | while IFS= read -r dir; do
        [ "$dir" = "$kept" ] || rm -rf "$dir/checkpoints" "$dir/best" "$dir/output"
    done
}

# One run: ROW is its cells as a JSON list.
run_row() {
    local row=$1 key dir started status value line
    # A folder's name follows from the parameters, so rows may be added, moved and taken out.
    key=$(printf '%s' "$row" | cksum | cut -d ' ' -f 1)
    dir=$out/runs/$key
    set -- --conf "$base"
    [ "$split" = null ] || set -- "$@" --set evaluation.final_split=val
    while IFS= read -r setting; do set -- "$@" --set "$setting"; done <<EOF
$(jq -nr --argjson header "$header" --argjson row "$row" '[$header, $row] | transpose[] | "\(.[0])=\(.[1])"')
EOF
    set -- "$@" --set "work_dir=$dir"
    if [ -d "$dir" ]; then set -- "$@" --resume; fi
    mkdir -p "$dir" || exit 1
    echo "sweep.sh: $row in $dir" >&2
    started=$(date +%s)
    # shellcheck disable=SC2086  # the command is split at spaces on purpose
    if $finetune "$@" >"$dir/stdout.log" 2>>"$dir/stderr.log" </dev/null; then
        line=$(tail -n 1 "$dir/stdout.log")
        value=$(printf '%s' "$line" | jq -r --arg metric "$metric" \
            'getpath($metric / "." | map(tonumber? // .)) | numbers | select(isnan or isinfinite | not)' 2>/dev/null)
    else
        value=
    fi
    if [ -n "$value" ]; then status=done; else status=failed; fi
    { cat "$results" && jq -nr --argjson row "$row" --arg value "$value" --arg dir "$dir" --arg status $status \
        --argjson seconds $(($(date +%s) - started)) \
        '$row + [if $value == "" then null else ($value | tonumber) end, $dir, $status, $seconds] | @csv'; } \
        >"$results.new" && mv "$results.new" "$results" || exit 1
    [ $status = done ] && echo "sweep.sh: $metric $value" >&2
    [ $status = failed ] && echo "sweep.sh: failed: $(tail -n 1 "$dir/stderr.log")" >&2
    drop_the_others
    return 0
}

finished=$(read_results | jq -c --argjson header "$header" '.parameters as $p | [$header[] | $p[.]]')
rows=$(tail -n +2 "$table" | jq -Rc "$cells select(test(\"[^\\\\s]\")) | cells" | awk '!seen[$0]++')
width=$(jq -n --argjson header "$header" '$header | length')
while IFS= read -r row; do
    [ -n "$row" ] || continue
    [ "$(jq -n --argjson row "$row" '$row | length')" = "$width" ] || fail "$table: expected $width cells, found $row"
    printf '%s\n' "$finished" | grep -Fxq -- "$row" || run_row "$row"
done <<EOF
$rows
EOF
drop_the_others
best=$(best_run)
test=null
if [ "$split" != null ] && [ "$best" != null ]; then
    chosen=$(printf '%s' "$best" | jq -r .work_dir)
    if [ ! -s "$chosen/test.json" ]; then
        # shellcheck disable=SC2086
        $finetune eval --conf "$chosen/conf.json" --set evaluation.final_split=test \
            >"$chosen/test.log" 2>>"$chosen/stderr.log" </dev/null \
            && tail -n 1 "$chosen/test.log" | jq -c 'select(.split == "test")' >"$chosen/test.json"
    fi
    [ ! -s "$chosen/test.json" ] || test=$(cat "$chosen/test.json")
fi
read_results | jq -sc --argjson best "$best" --arg dir "$out" --argjson split "$split" --argjson test "$test" '
    # A cell stands for the JSON value that --set makes of it.
    def typed: .parameters |= with_entries(.value as $cell | .value = ([$cell | fromjson?] + [$cell])[0]);
    {work_dir: $dir, runs: map(typed), best: ($best | if . == null then . else typed end)}
    | if $split == null or .best == null then . else .best.split = $split end
    | if $test == null then . else .test = $test end'
[ "$best" != null ] || exit 1
