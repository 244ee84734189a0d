// Of the frames that explorations found worth a label, choose those that add most to what is labelled. They are labelled
// together with those of earlier rounds, of which the label store has the labels.
process CHOOSE_FRAMES {
    tag "${name}"
    label 'light'
    label 'env_analysis'

    input:
    tuple val(name), path(settings), path(state), path(candidates)
    path labelled, stageAs: 'labelled/*/*'              // training frames of the round before
    val code        // the digest of the script and of what it imports

    output:
    path "chosen/${name}.extxyz",           emit: chunk, optional: true // none where there is nothing to label
    path "chosen/${name}.txt",              emit: frame_ids, optional: true
    path "chosen/${name}.sampling.parquet", emit: counts
    path '*.task.json', topic: tasks

    script:
    """
    choose_frames.py --id ${name} --settings ${settings} --state ${state} --candidates ${candidates} \\
        --labelled labelled/*/*.extxyz --out chosen
    """

    stub:
    """
    mkdir chosen
    touch chosen/${name}.extxyz chosen/${name}.txt chosen/${name}.sampling.parquet CHOOSE_FRAMES.${name}.task.json
    """
}
