// Train one DeePMD model on one mixture with one seed.
process TRAIN_DEEPMD {
    tag "${key}"
    label 'train'
    label 'env_deepmd'

    input:
    tuple val(key), path(settings), path(dataset)

    output:
    tuple val(key), path("${key}"), emit: model         // weights, model card, learning curve
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_task.py il_training.py
    train_deepmd.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json ${task.process}.${key}.task.json
    """
}
