// Read the study, refuse every mistake at once, and write one small file of settings for each task.
// A stub run plans for real: it has no stub.
process PLAN_STUDY {
    tag "${study.baseName}"
    label 'light'
    label 'env_analysis'

    input:
    path study      // the study file, YAML
    path assets     // ions, force fields, references
    val base        // the folder of the study, which its own paths are relative to
    val outdir      // where results will go: checked now, not at the end
    val previous    // results of the round before, in active learning; else empty
    path cards, stageAs: 'previous/?/*'     // of its models
    val code        // the digest of the script and of what it imports

    output:
    path 'errors.txt',              emit: errors                            // empty when the study is good
    path 'plan',                    emit: plan,     optional: true          // everything, for the report
    path 'plan/boxes/*.json',       emit: boxes,    optional: true
    path 'plan/states/*.json',      emit: states,   optional: true
    path 'plan/samples/*.json',     emit: samples,  optional: true
    path 'plan/labels.json',        emit: labels,   optional: true
    path 'plan/heldout.json',       emit: heldout,  optional: true
    path 'plan/dataset.json',       emit: dataset,  optional: true
    path 'plan/models/*.json',      emit: training, optional: true
    path 'plan/imports/*.json',     emit: imports,  optional: true          // models from elsewhere
    path 'plan/cards/*',            emit: cards,    optional: true          // models that need no training
    path 'plan/explore/*.json',     emit: explorations, optional: true
    path 'plan/choose/*.json',      emit: choices,  optional: true
    path 'plan/runs/*.json',        emit: runs,     optional: true
    path 'plan/explore.csv',        emit: explore_rows, optional: true
    path 'plan/states.csv',         emit: state_rows, optional: true
    path 'plan/models.csv',         emit: model_rows, optional: true
    path 'plan/runs.csv',           emit: run_rows, optional: true
    path 'plan/references.csv',     emit: references, optional: true
    path 'plan/files.csv',          emit: files,    optional: true          // the user's own files, to be staged
    path '*.task.json',             topic: tasks,   optional: true

    script:
    """
    plan_study.py --study ${study} --assets ${assets} --base ${quoted(base)} --outdir ${quoted(outdir)} \\
        ${previous ? "--previous ${quoted(previous)} --cards ${cards}" : ''} ${workflow.containerEngine ? '--files-unseen' : ''} --out plan --errors errors.txt || { code=\$?; [ -s errors.txt ] || exit \$code; }
    touch errors.txt
    """
}

// A text as one word of a shell, whatever it holds.
def quoted(text) {
    "'" + text.replace("'", "'\\''") + "'"
}
