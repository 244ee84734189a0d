// Say what differences between models the study can decide, from how its liquids fluctuate: before anything is trained.
process ESTIMATE_POWER {
    label 'light'
    label 'env_analysis'

    input:
    path plan
    path states, stageAs: 'states/*'    // of every liquid, temperature and box
    val code        // the digest of the script and of what it imports

    output:
    path 'power.parquet', emit: table
    path 'power.txt',     emit: words   // for the screen
    path '*.task.json', topic: tasks

    script:
    """
    estimate_power.py --id study --plan ${plan} --states states/* --out power.parquet --words power.txt
    """

    stub:
    """
    touch power.parquet power.txt ESTIMATE_POWER.study.task.json
    """
}
