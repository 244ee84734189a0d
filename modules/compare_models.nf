// Gather everything into tables, judge the models against each other and experiment, and write the report.
process COMPARE_MODELS {
    label 'light'
    label 'env_analysis'

    input:
    path plan
    path states,      stageAs: 'states/*'
    path power,       stageAs: 'states/*'   // what the design of the study can decide
    path labels,      stageAs: 'labels/*'
    path sampling,    stageAs: 'sampling/*'
    path explored,    stageAs: 'explored/*'
    path rounds,      stageAs: 'rounds/*'   // what earlier rounds of active learning came to
    path dataset
    path test,        stageAs: 'test/*'     // the frames that a reader may look at
    path models,      stageAs: 'models/*'
    path evaluations, stageAs: 'evaluations/*'
    path measures,    stageAs: 'measures/*'
    path failures,    stageAs: 'failures/*' // why models could not be had, evaluated or run
    path tasks                              // what each cost: one file, a line a task
    val code        // the digest of the script and of what it imports

    output:
    path 'report.html', emit: report
    path 'tables',      emit: tables
    path 'liquid.svg',  emit: picture, optional: true
    path 'pages/*.md',  emit: pages, optional: true     // of each model that has files: what came out of it
    path 'recommendation.txt', emit: words  // what the report says first, for the screen
    path 'study.json',  emit: study         // the study with every default

    script:
    """
    compare_models.py --plan ${plan} --states states --labels labels --sampling sampling --explored explored --rounds ${rounds} --dataset ${dataset} \\
        --test ${test} \\
        --models models --evaluations evaluations --runs measures --measures measures --failures failures --tasks ${tasks} --outdir .
    """

    stub:
    """
    mkdir tables
    touch report.html liquid.svg recommendation.txt study.json
    """
}
