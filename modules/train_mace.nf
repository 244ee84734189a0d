// Train one MACE model on one mixture with one seed.
process TRAIN_MACE {
    tag "${key}"
    label 'train'
    label 'env_mace'

    input:
    tuple val(key), path(settings), path(dataset)

    output:
    tuple val(key), path("${key}"), emit: model         // weights, model card, learning curve
    path '*.task.json', topic: tasks

    script:
    """
    # bin: il_task.py il_training.py
    train_mace.py --id ${key} --settings ${settings} --dataset ${dataset} --summary ${dataset}/dataset.json \\
        --threads ${task.cpus} --device ${task.accelerator ? 'cuda' : 'cpu'} --out ${key}
    """

    stub:
    """
    mkdir ${key}
    touch ${key}/model.json ${task.process}.${key}.task.json
    """
}
