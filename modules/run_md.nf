// Run NPT, then NVT at the mean density, with one model from one equilibrated box, or from several replicas at once.
process RUN_MD {
    tag "${keys[0]}${keys.size() > 1 ? " and ${keys.size() - 1} more" : ''}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(keys), val(engine), path(settings), path(states), path(model)
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in

    output:
    path 'runs/*/*',     emit: files,  optional: true   // of each: trajectories, thermodynamics, how it ended
    path '*.failed.txt', emit: failed, optional: true   // of each, where the model cannot be run: why
    path '*.task.json',  topic: tasks, optional: true

    script:
    def out = keys.collect { key -> "runs/${key}" }.join(' ')
    def failed = keys.collect { key -> "${task.process}.${key}.failed.txt" }.join(' ')
    """
    # bin: il_checkpoint.py il_engines.py il_forcefield.py il_md.py il_models.py il_openmm.py il_task.py il_topology.py il_trajectory.py
    run_md.py --id ${keys[0]} --settings ${settings} --state ${states} --model ${model} --threads ${task.cpus} \\
        --device ${task.accelerator ? 'cuda' : 'auto'} --checkpoints checkpoints.txt --out ${out} --errors ${failed} \\
        || il_failed.py --code \$? --out ${out} --errors ${failed}
    """

    stub:
    """
    for key in ${keys.join(' ')}; do mkdir -p runs/\$key; touch runs/\$key/run.json; done
    touch ${task.process}.${keys[0]}.task.json
    """
}
