#!/bin/sh
# Everything behind docs/experiments.md, from pictures to tables; what is complete is not made again.
#
#   examples/experiments/tables.sh DATA [STEP]...      from the root of the repository
#
# Steps, by default all in this order: store (three data sets with cues and synthetic spoofs), sets (heads on them), augment,
# augment-difffas, document. PYTHON names the interpreter. All of it takes some two hours of two cores.
set -eu
data=${1:?usage: examples/experiments/tables.sh DATA [STEP]...}
shift
[ $# -gt 0 ] || set -- store sets augment augment-difffas document
python=${PYTHON:-python}
here=examples/experiments

# store NAME [KEY=VALUE]...: run the pipeline, and link its pack as out/sets/NAME.
store() {
    name=$1
    shift
    "$python" -m fasgen run --config $here/store.yaml --engine local "sources.0.path=$data/nuaa" \
        "sources.1.path=$data/celeba_spoof_dev" "sources.2.path=$data/replay_domains" "$@" > out/sets/$name.log
    pack=$(awk '$1 == "shards" { $1 = ""; sub(/^ +/, ""); found = $0 } END { print found }' out/sets/$name.log)
    ln -sfn "store/$(basename "$pack")" out/sets/$name
}

mkdir -p out/sets
for step; do
    case $step in
        store)
            store cues
            # Of these the images alone are read, so that one call will do for residuals. DiffFAS takes guides of the face's own
            # set, so that each spoof may train wherever that set does, and styles that its weights do not know too.
            spoofs="stage=pack synth.variants=1 defake.calls=1 lgsc.enabled=false stdn.enabled=false pack.cues=[]"
            store physical $spoofs synth.method=physical
            for set in webcam photographs replay; do
                store difffas-$set $spoofs synth.method=difffas synth.unseen=mark "synth.where=dataset = '$set'"
            done
            ;;
        sets) "$python" $here/sets.py ;;
        augment) FASGEN_DATA=$data "$python" -m bench.quality augment --method physical --seeds 5 --out out/augment ;;
        augment-difffas) FASGEN_DATA=$data "$python" -m bench.quality augment --method difffas --seeds 5 --out out/augment ;;
        document) "$python" $here/document.py ;;
        *)
            echo "no step is called $step" >&2
            exit 2
            ;;
    esac
done
