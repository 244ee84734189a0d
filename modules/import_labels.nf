// Bring labels that the user already has under the contract of our own. A frame that cannot be used is a row.
process IMPORT_LABELS {
    label 'light'
    label 'env_analysis'

    input:
    path frames, stageAs: 'frames?/*'   // the user's files and folders, in the order of the study
    val contents                        // what is in the folders: those count by their path alone in the hash of a task
    path settings                       // how they are to be read, and the ions to look for
    path assets
    val code        // the digest of the script and of what it imports

    output:
    path 'errors.txt',                  emit: errors                        // empty when they can be used
    path 'imported.txt',                emit: words,  optional: true        // what was understood, for the screen
    path 'imported.labelled.extxyz',    emit: frames, optional: true
    path 'imported.labels.parquet',     emit: labels, optional: true        // one row a frame, the unusable ones too
    path 'imported.e0s.json',           emit: e0s,    optional: true        // energies of the elements, where there are free atoms
    path '*.task.json', topic: tasks,                 optional: true

    script:
    """
    import_labels.py --id imported --settings ${settings} --frames ${frames} --assets ${assets} \\
        --out imported --errors errors.txt > imported.txt || { code=\$?; [ -s errors.txt ] || exit \$code; }
    touch errors.txt
    """

    stub:
    """
    touch errors.txt imported.txt imported.labelled.extxyz imported.labels.parquet IMPORT_LABELS.imported.task.json
    """
}
