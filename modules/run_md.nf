// Run NPT, then NVT at the mean density, with one model from one equilibrated box.
process RUN_MD {
    tag "${key}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(key), val(engine), path(settings), path(state), path(model)
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in

    output:
    tuple val(key), path("${key}"), emit: run           // trajectories, thermodynamics, how it ended
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_checkpoint.py il_md.py il_models.py il_task.py il_topology.py il_trajectory.py
    run_md.py --id ${key} --settings ${settings} --state ${state} --model ${model} \\
        --threads ${task.cpus} --checkpoints checkpoints.txt --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/run.json ${task.process}.${key}.task.json
    """
}
