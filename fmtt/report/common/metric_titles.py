"""The titles of metrics on pages, and what they mean."""

# name -> title, meaning
RESULTS = {
    "reward/weighted_mean": ("Reward, weighted", "mean over particles by weight: the estimate under the tilted law"),
    "reward/mean": ("Reward, unweighted", "plain mean over particles"),
    "reward/max": ("Reward, best", "the best particle of a group"),
    "reward/selected_mean": ("Reward, returned", "the samples returned for the groups"),
    "reward/base_mean": ("Reward, base model", "the same noise without tilting"),
    "reward/scale": ("Scale", "what multiplies the reward in the tilt"),
    "log_z/mean": ("log Z", "log of the mean estimate of Z over groups"),
    "log_z/low": ("log Z, from", "lower end of its 95% interval over groups"),
    "log_z/high": ("log Z, to", "upper end of it"),
    "log_z/spread": ("Error of log Z of a group", "from the spread of the groups, or from their genealogies if larger"),
    "log_z/tail_stderr": ("Error of log Z, by tails", "if the logarithms of the weights of a step had normal tails"),
    "log_z/genealogical_stderr": ("Error of log Z, by genealogy", "from the ancestry inside the populations"),
    "reward/weighted_mean/genealogical_stderr": ("Error of the reward, by genealogy", "likewise"),
    "kl": ("Divergence from the base", "of the tilted law, in nats: scale times the mean reward, minus log Z"),
    "held_out": ("Held-out reward", "weighted mean; it was not optimised"),
    "held_out/selected": ("Held-out reward, returned", "the samples returned for the groups"),
    "held_out/base_mean": ("Held-out reward, base model", "the same noise without tilting"),
    "exact/log_z": ("log Z, exact", "in closed form, or by quadrature"),
    "exact/reward": ("Reward, exact", "mean under the tilted law"),
    "ess/final": ("ESS at the end", "effective sample size, as a fraction of N"),
    "ess/min": ("ESS, lowest", "the smallest on the way, as a fraction of N"),
    "resamples": ("Resamplings", "how often the selection acted on a group"),
    "ancestors/unique": ("Surviving ancestors", "particles of t = 0 that have descendants"),
    "recognised/base": ("Recognised, base model", "share of samples about which the evaluation classifier is sure"),
    "recognised/tilted": ("Recognised, tilted", "share of samples about which the evaluation classifier is sure"),
    "kid": (
        "Kernel distance",
        "of the returned samples to real ones of the wanted kind; without bias, so it may be negative",
    ),
    "discrepancy": ("Discrepancy", "total over the steps"),
    "thermodynamic_length": ("Thermodynamic length", "sum of the roots of the discrepancies of the steps"),
    "transport_gap": ("Transport gap", "what the error of the flow map adds to a log-weight, summed over steps"),
}
COSTS = {
    "nfe/forward": ("Network, forward", "evaluations, one per particle"),
    "nfe/backward": ("Network, backward", "evaluations, one per particle"),
    "nfe/reward": ("Reward calls", "evaluations, one per particle"),
    "nfe/reward_backward": ("Reward gradients", "evaluations, one per particle"),
    "nfe/decode": ("Decoder calls", "evaluations, one per particle"),
    "nfe/decode_backward": ("Decoder gradients", "evaluations, one per particle"),
    "nfe/weighted": ("Network, weighted", "all calls, in forward evaluations, by the factors of budget"),
    "nfe/weighted/group": ("Network, weighted, a group", "what budget.nfe limits"),
    "time/total_s": ("Time", "seconds, the whole run"),
    "time/method_s": ("Time of the method", "seconds, without the base model and the pages"),
    "time/model_s": ("Time in the model", "seconds"),
    "memory/peak_mb": ("Peak memory", "MB"),
}


def metric_title(metric: str) -> str:
    """The title of a metric; its own name if it has none. ``right/selected`` is the verdict on returned samples."""
    verdict = metric.removesuffix("/selected")
    own = metric if verdict == metric else f"{verdict.replace('_', ' ')}, returned"
    return {**RESULTS, **COSTS}.get(metric, (own, ""))[0]
