"""Diffusion models: noise is added little by little, and a network learns to take it away.

Reading order:

    processes          how noise is added: the SDEs, their one-variable sigma form, and the
                       dictionary of what networks predict (x0, eps, v, score)
    samplers           from noise back to data, given any denoiser, exact or learned
    network, denoiser  Diffusion, the default model: one network for all noise levels
    likelihood         its log density along the ODE, and bounds along the SDE
    chain, ddpm        the same in discrete steps: the chain, and its variational bound
    score_matching     the score learned without adding noise
    conditioning       one network for all classes;  guidance: samples that show their class
                       more clearly than the data do, and how far that is from any law
    completion         the missing coordinates, given the others
"""
