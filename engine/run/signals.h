// SIGINT, SIGTERM and SIGHUP: the first asks the work to stop, the second ends the process immediately. Work that has
// nothing to save need not ask: it is ended a second after the signal.
#pragma once

namespace fp {

// Thrown out of work that is asked to stop, by the function that it reports its progress to.
struct Stopped {};

// Handles the signals during its lifetime. At most one object exists at a time.
class StopSignals {
public:
    explicit StopSignals(bool tells = true);  // on stderr, that the first was heard
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    static bool requested();
    static int exit_code();  // 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP, 0 without a signal

    // While one exists, the first signal does not end the process: the work asks requested() and saves what it has.
    class Unsaved {
    public:
        Unsaved();
        ~Unsaved();
        Unsaved(const Unsaved&) = delete;
        Unsaved& operator=(const Unsaved&) = delete;
    };
};

}  // namespace fp
