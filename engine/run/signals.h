// SIGINT and SIGTERM: the first asks the run to finish its step, save and stop; the second ends the process
// at once.
#pragma once

namespace fp {

// For as long as one of these lives; there is one at a time.
class StopSignals {
public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    static bool requested();
    static int exit_code();  // 130 after SIGINT, 143 after SIGTERM, 0 while none came
};

}  // namespace fp
