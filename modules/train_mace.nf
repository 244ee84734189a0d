// Train one MACE model on one mixture with one seed.
process TRAIN_MACE {
    tag "${key}"
    label 'train'
    label 'env_mace'

    input:
    tuple val(key), path(settings), path(dataset), path(weights), path(replay)      // weights, replay: [] where none
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: model,  optional: true    // weights, model card, learning curve
    path '*.failed.txt',            emit: failed, optional: true    // why there is none
    path '*.task.json', topic: tasks, optional: true

    script:
    """
    train_mace.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        ${weights ? "--weights ${weights}" : ''} ${replay ? "--replay ${replay}" : ''} \\
        --checkpoints checkpoints.txt --code ${code} --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key} \\
        --errors TRAIN_MACE.${key}.failed.txt \\
        || record_failure.py --code \$? --out ${key} --errors TRAIN_MACE.${key}.failed.txt
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json TRAIN_MACE.${key}.task.json
    """
}
