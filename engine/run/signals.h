// SIGINT and SIGTERM: the first asks the run to finish its step, save and stop; the second ends the process
// immediately.
#pragma once

namespace fp {

// Handles the signals during its lifetime. At most one object exists at a time.
class StopSignals {
public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    static bool requested();
    static int exit_code();  // 130 after SIGINT, 143 after SIGTERM, 0 without a signal
};

}  // namespace fp
