// Student's t distribution, also with degrees of freedom that are no whole number.
#pragma once

namespace fp {

// P(|T| > t) for t >= 0.
double two_sided_p(double t, double freedom);

// The t that T exceeds with probability 1 - share; share in (0, 1).
double t_quantile(double share, double freedom);

// The standard normal distribution: P(Z <= z), and the z with that probability.
double normal_share(double z);
double normal_quantile(double share);

// The smallest |mean| / error that a two-sided test at level `alpha` finds with this power: of the noncentral t
// distribution, in which the error is estimated too.
double detectable_ratio(double alpha, double power, double freedom);

}  // namespace fp
