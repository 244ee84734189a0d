// Gather the labelled frames and split them by the trajectory that they came from.
process SPLIT_DATASET {
    label 'light'
    label 'env_analysis'

    input:
    path frames     // labelled chunks, extxyz
    path labels     // their rows, Parquet
    path settings   // the named mixtures and the split
    path e0s        // energies of free atoms, JSON; none where nobody gave them
    val code        // the digest of the script and of what it imports

    output:
    path 'dataset/datasets/*',      emit: datasets, optional: true // one folder a mixture: MACE and DeePMD views; none where the study names none
    path 'dataset/test.extxyz',     emit: test          // the same for every mixture
    path 'dataset/dataset.parquet', emit: table
    path 'dataset/dataset.json',    emit: summary       // counts, hashes, elements, reference energies
    path 'words.txt',               emit: words         // what the user should know of the split, for the screen
    path '*.task.json', topic: tasks

    script:
    """
    split_dataset.py --id dataset --settings ${settings} --frames ${frames} --labels ${labels} ${e0s ? "--e0s ${e0s}" : ''} --out dataset > words.txt
    """

    stub:
    """
    mkdir dataset
    python3 -c "import json, os; [os.makedirs('dataset/datasets/' + name) for name in json.load(open('${settings}'))['datasets']]"
    touch words.txt dataset/test.extxyz dataset/dataset.parquet dataset/dataset.json SPLIT_DATASET.dataset.task.json
    """
}
