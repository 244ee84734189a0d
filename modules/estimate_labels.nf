// Label two frames of each liquid, which are near each other, and price the plan with what that took on this machine.
process ESTIMATE_LABELS {
    label 'labelling'
    label 'env_by_engine'
    ext engine: { engine.environment }

    input:
    path plan
    val engine      // what computes labels: the row of the plan's label_engine.csv, and the digest of its code
    path settings   // the level of theory
    path boxes      // of every liquid
    path model, stageAs: 'teacher/*'    // that labels, where one does
    val code        // the digest of the script and of what it imports

    output:
    path 'errors.txt',      emit: errors                    // empty when every probe has a label
    path 'estimate.txt',    emit: words, optional: true     // the table, for the screen
    path 'estimate.json',   emit: json,  optional: true
    path '*.task.json', topic: tasks,    optional: true

    script:
    """
    estimate_labels.py --id estimate --settings ${settings} --plan ${plan} --boxes ${boxes} --model ${model} --threads ${task.cpus} \\
        --out estimate.json --errors errors.txt > estimate.txt || { code=\$?; [ -s errors.txt ] || exit \$code; }
    touch errors.txt
    """

    stub:
    """
    touch errors.txt estimate.txt estimate.json ESTIMATE_LABELS.estimate.task.json
    """
}
