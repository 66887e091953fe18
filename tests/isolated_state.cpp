// Tests leave the user's record of reads of test splits alone, unless the environment names another one.
#include <cstdlib>

[[maybe_unused]] static const int isolated = setenv("FAIRPRUNE_STATE", "off", 0);
