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
    val previous    // results of the round before, in active learning or to refine the equilibrium; else empty
    path records, stageAs: 'previous/?/*'   // of its models and runs
    val code        // the digest of the script and of what it imports

    output:
    path 'errors.txt',  emit: errors                    // empty when the study is good
    path 'plan',        emit: plan,     optional: true  // tables of keys (CSV), and a file of settings for each task (JSON)
    path '*.task.json', topic: tasks,   optional: true

    script:
    """
    plan_study.py --study ${study} --assets ${assets} --base ${quoted(base)} --outdir ${quoted(outdir)} \\
        ${previous ? "--previous ${quoted(previous)} --records ${records}" : ''} ${workflow.containerEngine ? '--files-unseen' : ''} --out plan --errors errors.txt || { code=\$?; [ -s errors.txt ] || exit \$code; }
    touch errors.txt
    """
}

// A text as one word of a shell, whatever it holds.
def quoted(text) {
    "'" + text.replace("'", "'\\''") + "'"
}
