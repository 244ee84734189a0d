// Train one DeePMD model on one mixture with one seed.
process TRAIN_DEEPMD {
    tag "${key}"
    label 'train'
    label 'env_deepmd'

    input:
    tuple val(key), path(settings), path(dataset), path(weights)        // weights: [] where none
    path checkpoints, name: 'checkpoints.txt'           // a file of the folder that they are in
    val code        // the digest of the script and of what it imports

    output:
    tuple val(key), path("${key}"), emit: model,  optional: true    // weights, model card, learning curve
    path '*.failed.txt',            emit: failed, optional: true    // why there is none
    path '*.task.json', topic: tasks, optional: true

    script:
    """
    train_deepmd.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        ${weights ? "--weights ${weights}" : ''} \\
        --checkpoints checkpoints.txt --code ${code} --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key} \\
        --errors TRAIN_DEEPMD.${key}.failed.txt \\
        || record_failure.py --code \$? --out ${key} --errors TRAIN_DEEPMD.${key}.failed.txt
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json TRAIN_DEEPMD.${key}.task.json
    """
}
