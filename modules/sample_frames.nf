// Choose the frames to label: equilibrium frames, and the recipes for frames away from equilibrium.
process SAMPLE_FRAMES {
    tag "${liquid}"
    label 'equilibrate'
    label 'env_analysis'

    input:
    tuple val(liquid), path(settings), path(states), path(runs)     // the equilibrated boxes of the liquid; runs that refine them
    val code        // the digest of the script and of what it imports

    output:
    path 'chunks/*.extxyz',             emit: chunks
    path 'chunks/*.txt',                emit: frame_ids // of each chunk, a line for each frame
    path "${liquid}.sampling.parquet",  emit: counts    // frames requested, kept and refused, by recipe
    path '*.task.json', topic: tasks

    script:
    """
    sample_frames.py --id ${liquid} --settings ${settings} --states ${states} ${runs ? "--runs ${runs}" : ''} \\
        --out chunks --counts ${liquid}.sampling.parquet
    """

    stub:
    """
    mkdir chunks
    touch chunks/${liquid}-000.extxyz chunks/${liquid}-000.txt ${liquid}.sampling.parquet SAMPLE_FRAMES.${liquid}.task.json
    """
}
