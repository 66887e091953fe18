#include "engine/parallel/farm.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/parallel/agree.h"

namespace fp {
namespace {

constexpr std::chrono::milliseconds kBeat(50);

// What a rank tells in a beat.
struct Report {
    bool idle = false;       // has no task, and has heard of all that is finished
    bool stop = false;       // was asked to stop, or its task was stopped
    bool released = false;   // its task has called release()
    int finished = -1;       // a task
    std::string words = {};  // the result of that task, or a fault
    bool failed = false;

    std::string packed() const {
        return text(idle ? 'i' : '-', stop ? 's' : '-', released ? 'r' : '-', failed ? 'f' : '-', finished, "\n",
                    words);
    }
    static Report unpacked(const std::string& from) {
        const size_t end = from.find('\n');
        FP_CHECK(end != from.npos && end > 4, "farm: another rank's report is not understood");
        Report out{.idle = from[0] == 'i', .stop = from[1] == 's', .released = from[2] == 'r'};
        std::from_chars(from.data() + 4, from.data() + end, out.finished);
        out.words = from.substr(end + 1);
        out.failed = from[3] == 'f';
        return out;
    }
};

// Who does what. Every rank keeps the same one, from the reports of all.
class Plan {
public:
    Plan(const std::vector<FarmTask>& tasks, int ranks)
        : tasks_(tasks), states_(tasks.size(), State::waits), doing_(size_t(ranks), -1) {}

    // Takes in the reports of a beat. Tasks that were given out are in given().
    void hear(const std::vector<Report>& reports) {
        const bool nothing_left = stopping_ || all_finished();
        given_.assign(doing_.size(), -1);
        for (size_t r = 0; r < reports.size(); ++r) {
            const Report& report = reports[r];
            if (report.released && doing_[r] >= 0) states_[size_t(doing_[r])] = State::released;
            if (report.finished >= 0) states_[size_t(report.finished)] = State::finished;
            if (report.failed && fault_.empty()) fault_ = report.words;
            stopping_ = stopping_ || report.stop || report.failed;
            if (report.idle) doing_[r] = -1;
        }
        // In a beat of its own, in which all have heard of the last task.
        over_ = nothing_left && std::ranges::all_of(reports, &Report::idle);
        if (stopping_) return;
        for (size_t r = 0; r < doing_.size(); ++r)
            if (doing_[r] < 0) give(int(r));
    }

    int given(int rank) const { return given_[size_t(rank)]; }
    bool stopping() const { return stopping_; }
    bool all_finished() const {
        return std::ranges::all_of(states_, [](State s) { return s == State::finished; });
    }
    bool over() const { return over_; }
    const std::string& fault() const { return fault_; }

private:
    enum class State { waits, begun, released, finished };

    void give(int rank) {
        for (size_t t = 0; t < tasks_.size(); ++t) {
            const FarmTask& task = tasks_[t];
            if (states_[t] != State::waits || (task.rank >= 0 && task.rank != rank)) continue;
            if (task.after >= 0 && states_[size_t(task.after)] < State::released) continue;
            states_[t] = State::begun;
            doing_[size_t(rank)] = given_[size_t(rank)] = int(t);
            return;
        }
    }

    const std::vector<FarmTask>& tasks_;
    std::vector<State> states_;
    std::vector<int> doing_, given_;  // by rank; -1: none
    bool stopping_ = false, over_ = false;
    std::string fault_ = {};
};

// One rank of several: the thread that works, and the one that meets the others.
class Worker final : public Farmhand {
public:
    Worker(const Comm& ranks, const Farm& farm)
        : ranks_(ranks), farm_(farm), plan_(farm.tasks, ranks.ranks()), beats_([this] { beat(); }) {}
    ~Worker() override { beats_.join(); }

    // Until all is over.
    bool work() {
        std::unique_lock lock(mutex_);
        while (!over_ || !news_.empty()) {
            changed_.wait(lock, [&] { return task_ >= 0 || over_ || !news_.empty(); });
            attempt(lock, [&] { tell(lock); });
            if (task_ >= 0 && !over_) do_task(lock);
        }
        if (report_.failed) throw SharedError(unpacked(report_.words));  // the others are gone, perhaps for that
        if (lost_) std::rethrow_exception(lost_);
        if (!plan_.fault().empty()) throw SharedError(unpacked(plan_.fault()));
        return plan_.all_finished();
    }

    bool stopped() const override {
        const std::lock_guard lock(mutex_);
        return plan_.stopping() || over_ || asked();
    }
    void release() override {
        const std::lock_guard lock(mutex_);
        report_.released = said_ = true;
        changed_.notify_all();
    }
    void hear() override {
        std::unique_lock lock(mutex_);
        tell(lock);
    }

private:
    struct News {
        int task, rank;
        std::string result;
    };

    bool asked() const { return farm_.stop && farm_.stop(); }

    // What is thrown is reported.
    template <class Work>
    void attempt(std::unique_lock<std::mutex>& lock, const Work& work) {
        try {
            work();
        } catch (...) {
            if (!lock.owns_lock()) lock.lock();
            telling_ = false;
            report({.words = packed(fault_of(std::current_exception(), ranks_)), .failed = true});
        }
    }

    void report(Report with) {
        report_ = std::move(with);
        said_ = true;
        changed_.notify_all();
    }

    void do_task(std::unique_lock<std::mutex>& lock) {
        attempt(lock, [&] {
            const int task = task_;
            lock.unlock();
            const std::optional<std::string> result = farm_.work(task, *this);
            lock.lock();
            report(result ? Report{.finished = task, .words = *result} : Report{.stop = true});
        });
        task_ = -1;
    }

    void tell(std::unique_lock<std::mutex>& lock) {
        const std::vector<News> news = std::exchange(news_, {});
        if (!farm_.finished || news.empty()) return;
        telling_ = true;
        lock.unlock();
        for (const News& n : news) farm_.finished(n.task, n.rank, n.result);
        lock.lock();
        telling_ = false;
    }

    // The other thread.
    void beat() {
        std::unique_lock lock(mutex_);
        Report mine;
        try {
            while (!over_) {
                mine = std::exchange(report_, {});
                mine.idle = task_ < 0 && news_.empty() && !telling_;
                mine.stop = mine.stop || asked();
                said_ = false;
                lock.unlock();
                const std::vector<std::string> all = ranks_.gather(mine.packed());
                lock.lock();
                take_in(all);
                if (!over_) changed_.wait_for(lock, kBeat, [&] { return said_; });
            }
        } catch (...) {
            if (!lock.owns_lock()) lock.lock();
            if (mine.failed) report_ = mine;
            lost_ = std::current_exception();
            over_ = true;
        }
        changed_.notify_all();
    }

    void take_in(const std::vector<std::string>& all) {
        std::vector<Report> reports;
        for (const std::string& words : all) reports.push_back(Report::unpacked(words));
        for (size_t r = 0; r < reports.size(); ++r)
            if (reports[r].finished >= 0) news_.push_back({reports[r].finished, int(r), reports[r].words});
        plan_.hear(reports);
        if (const int given = plan_.given(ranks_.rank()); given >= 0) task_ = given;
        over_ = plan_.over();
        changed_.notify_all();
    }

    const Comm& ranks_;
    const Farm& farm_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Plan plan_;
    int task_ = -1;      // that this rank has
    Report report_;      // for the next beat
    bool said_ = false;  // there is something new in it
    bool over_ = false, telling_ = false;
    std::vector<News> news_;
    std::exception_ptr lost_;  // what a beat has thrown
    std::thread beats_;        // the last member: it uses the others
};

// All tasks in their order.
class Alone final : public Farmhand {
public:
    explicit Alone(const Farm& farm) : farm_(farm) {}
    bool work() {
        for (size_t t = 0; t < farm_.tasks.size(); ++t) {
            const std::optional<std::string> result = farm_.work(int(t), *this);
            if (!result) return false;
            if (farm_.finished) farm_.finished(int(t), 0, *result);
        }
        return true;
    }
    bool stopped() const override { return farm_.stop && farm_.stop(); }
    void release() override {}
    void hear() override {}

private:
    const Farm& farm_;
};

}  // namespace

bool farm_out(const Comm& ranks, const Farm& farm) {
    for (size_t t = 0; t < farm.tasks.size(); ++t)
        FP_CHECK(farm.tasks[t].after < int(t) && farm.tasks[t].rank < ranks.ranks(), "farm: task ", t, " never begins");
    return ranks.alone() ? Alone(farm).work() : Worker(ranks, farm).work();
}

std::string work_of_first(const Comm& ranks, const std::function<std::string()>& work) {
    std::string out;
    farm_out(ranks, {.tasks = {{.rank = 0}},
                     .work = [&](int, Farmhand&) { return std::optional(work()); },
                     .finished = [&](int, int, const std::string& result) { out = result; }});
    return out;
}

}  // namespace fp
