#!/bin/sh
# Everything behind docs/experiments.md, from pictures to tables; what is complete is not made again.
#
#   examples/experiments/tables.sh DATA [STEP]...      from the root of the repository
#
# Steps, by default all in this order: physical, cues, difffas, identities (generations of the store, under names that they are read
# by), replay-lodo, celeba-folds (runs), augment, augment-difffas, sets-store, sets (three data sets against each other), document.
# Experiments leave the variants on DiffFAS's spoofs out while out/tables/difffas is missing. PYTHON names the interpreter. All but
# sets take about an hour of two cores.
set -eu
data=${1:?usage: examples/experiments/tables.sh DATA [STEP]...}
shift
[ $# -gt 0 ] || set -- physical cues difffas identities replay-lodo celeba-folds augment augment-difffas sets-store sets document
python=${PYTHON:-python}
here=examples/experiments
out=out/tables

# store NAME [KEY=VALUE]...: run the pipeline, and link its pack as out/tables/NAME.
store() {
    name=$1
    shift
    "$python" -m fasgen run --config $here/store.yaml --engine local "sources.0.path=$data/replay_domains" \
        "sources.1.path=$data/celeba_spoof_dev" "$@" > $out/$name.log
    pack=$(awk '$1 == "shards" { $1 = ""; sub(/^ +/, ""); found = $0 } END { print found }' $out/$name.log)
    ln -sfn "store/$(basename "$pack")" $out/$name
}

# set_store NAME [KEY=VALUE]...: the same of three data sets, linked as out/sets/NAME.
set_store() {
    name=$1
    shift
    "$python" -m fasgen run --config $here/sets-store.yaml --engine local "sources.0.path=$data/nuaa" \
        "sources.1.path=$data/celeba_spoof_dev" "sources.2.path=$data/replay_domains" "$@" > out/sets/$name.log
    pack=$(awk '$1 == "shards" { $1 = ""; sub(/^ +/, ""); found = $0 } END { print found }' out/sets/$name.log)
    ln -sfn "store/$(basename "$pack")" out/sets/$name
}

# experiment NAME: every variant, but those whose shards are not there.
experiment() {
    name=$1
    set --
    if [ ! -e $out/difffas ]; then
        newline='
'
        old=$IFS
        IFS=$newline
        for variant in $("$python" $here/document.py --variants-without difffas $here/"$name".yaml); do
            set -- "$@" --only "$variant"
        done
        IFS=$old
    fi
    "$python" -m fasgen experiment $here/"$name".yaml --device cpu "$@"
}

mkdir -p $out
for step; do
    case $step in
        physical) store physical synth.method=physical ;;
        difffas) store difffas synth.method=difffas ;;
        cues)
            # LGSC and STDN+ must not have met what they are measured on: the embedded weights know replays, those beside this
            # script do not.
            store cues-for-photographs lgsc.enabled=true stdn.enabled=true synth.variants=0
            store cues-for-replays lgsc.enabled=true "lgsc.weights=$PWD/$here/weights/lgsc" \
                stdn.enabled=true "stdn.weights=$PWD/$here/weights/stdn" synth.variants=0
            ;;
        identities)
            "$python" -m fasgen cluster $out/store
            ln -sfn "store/identities/$(basename $out/store/identities/*.parquet)" $out/identities.parquet
            ;;
        replay-lodo | celeba-folds) experiment "$step" ;;
        augment) FASGEN_DATA=$data "$python" -m bench.quality augment --method physical --seeds 5 --out $out/augment ;;
        augment-difffas) FASGEN_DATA=$data "$python" -m bench.quality augment --method difffas --seeds 5 --out $out/augment ;;
        sets-store)
            mkdir -p out/sets
            set_store cues
            # Of these the images alone are read, so that one call will do for residuals. DiffFAS takes guides of the face's own
            # set, so that each spoof may train wherever that set does, and styles that its weights do not know too.
            spoofs="stage=pack synth.variants=1 defake.calls=1 lgsc.enabled=false stdn.enabled=false pack.cues=[]"
            set_store physical $spoofs synth.method=physical
            for set in webcam photographs replay; do
                set_store difffas-$set $spoofs synth.method=difffas synth.unseen=mark "synth.where=dataset = '$set'"
            done
            ;;
        sets) "$python" $here/sets.py ;;
        document) "$python" $here/document.py ;;
        *)
            echo "no step is called $step" >&2
            exit 2
            ;;
    esac
done
