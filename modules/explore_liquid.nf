// Walk through a liquid with a committee of the round before, and keep the frames on which its members disagree.
process EXPLORE_LIQUID {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(settings), path(state), path(models), path(valid)  // models: that differ by their seed
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("explored/${key}.extxyz"), emit: frames, optional: true   // none where the committee agrees everywhere
    path "explored/${key}.explored.parquet", emit: table   // each frame that it was asked about
    path '*.task.json', topic: tasks

    script:
    """
    explore_liquid.py --id ${key} --settings ${settings} --state ${state} --models ${models} --valid ${valid} \\
        --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'auto'} --out explored
    """

    stub:
    """
    mkdir explored
    touch explored/${key}.extxyz explored/${key}.explored.parquet EXPLORE_LIQUID.${key}.task.json
    """
}
