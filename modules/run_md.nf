// Run NPT, then NVT at the mean density, with one model from one equilibrated box, or from several replicas at once.
process RUN_MD {
    tag "${keys[0]}${keys.size() > 1 ? " and ${keys.size() - 1} more" : ''}"
    label 'md'
    label 'env_by_engine'
    ext engine: { engine }

    input:
    tuple val(keys), val(engine), path(settings), path(states), path(model)
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in
    val code        // the digest of the script and of what it imports

    output:
    path 'runs/*/*',     emit: files,  optional: true   // of each: trajectories, thermodynamics, how it ended
    path '*.failed.json', emit: failed, optional: true   // of each, where the model cannot be run: why
    path '*.task.json',  topic: tasks, optional: true

    script:
    def out = keys.collect { key -> "runs/${key}" }.join(' ')
    def failed = keys.collect { key -> "RUN_MD.${key}.failed.json" }.join(' ')
    """
    run_md.py --id ${keys[0]} --settings ${settings} --state ${states} --model ${model} --threads ${task.cpus} \\
        --device ${task.accelerator ? 'cuda' : 'auto'} --checkpoints checkpoints.txt --code ${code} --out ${out} --errors ${failed} \\
        || record_failure.py --process RUN_MD --keys ${keys.join(' ')} --code \$? --out ${out} --errors ${failed}
    """

    stub:
    """
    for key in ${keys.join(' ')}; do mkdir -p runs/\$key; touch runs/\$key/run.json; done
    touch RUN_MD.${keys[0]}.task.json
    """
}
