// Gather everything into tables, judge the models against each other and experiment, and write the report.
process COMPARE_MODELS {
    label 'light'
    label 'env_analysis'

    input:
    path plan
    path states,      stageAs: 'states/*'
    path labels,      stageAs: 'labels/*'
    path sampling,    stageAs: 'sampling/*'
    path explored,    stageAs: 'explored/*'
    path rounds,      stageAs: 'rounds/*'   // what earlier rounds of active learning came to
    path dataset
    path models,      stageAs: 'models/*'
    path evaluations, stageAs: 'evaluations/*'
    path measures,    stageAs: 'measures/*'
    path failures,    stageAs: 'failures/*' // why models could not be had, evaluated or run
    path tasks                              // what each cost: one file, a line a task

    output:
    path 'report.html', emit: report
    path 'tables',      emit: tables
    path 'liquid.svg',  emit: picture, optional: true

    script:
    """
    # bin: il_bill.py il_calibration.py il_committee.py il_curves.py il_domain.py il_figures.py il_frames.py il_page.py il_pareto.py il_picture.py il_recommendation.py il_references.py il_report.py il_rounds.py il_selection.py il_summary.py il_task.py il_theory.py il_topology.py il_trajectory.py il_verdicts.py il_words.py il_worth.py il_worth_words.py
    compare_models.py --plan ${plan} --states states --labels labels --sampling sampling --explored explored --rounds ${rounds} --dataset ${dataset} \\
        --models models --evaluations evaluations --runs measures --measures measures --failures failures --tasks ${tasks} --outdir .
    """

    stub:
    """
    mkdir tables
    touch report.html liquid.svg
    """
}
