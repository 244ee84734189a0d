// Measure density, diffusion, conductivity, viscosity and structure of one run, each with its error or the reason for having none.
process MEASURE_LIQUID {
    tag "${key}"
    label 'light'
    label 'env_analysis'

    input:
    tuple val(key), path(run), path(model)      // the model: for what its training frames span
    path references         // for the experimental viscosity, where the run's own is not converged
    val code        // the digest of the script and of what it imports

    output:
    path "${key}.measures", emit: measures              // the tables, run.json, and the frames that the report may show
    path '*.task.json', topic: tasks

    script:
    """
    measure_liquid.py --id ${key} --run ${run} --model ${model} --references ${references} --threads ${task.cpus} --out ${key}.measures
    """

    stub:
    """
    mkdir ${key}.measures
    touch MEASURE_LIQUID.${key}.task.json
    """
}
