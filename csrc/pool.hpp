// A pool of threads that stays awake between the steps of one run: a step of a net takes microseconds, waking a
// sleeping thread takes fifty.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace bimetal {

class ThreadPool {
 public:
    // Threads do not survive a fork, and what they slept on cannot be destroyed without them: a forked copy of a pool
    // is left as it is.
    struct Release {
        void operator()(ThreadPool* pool) const;
    };
    using Owner = std::unique_ptr<ThreadPool, Release>;

    // n_threads counts the caller. cpus: where each of the other threads is pinned, or empty; `cpus[0]` is the
    // caller's and left alone, because its affinity is the caller's business.
    ThreadPool(std::size_t n_threads, const std::vector<int>& cpus);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    std::size_t n_threads() const { return workers_.size() + 1; }

    // Calls work(task, thread) for every task in [0, n_tasks), thread in [0, n_threads()); returns when all are done.
    // One caller at a time: see Lease.
    void run(std::size_t n_tasks, const std::function<void(std::size_t, std::size_t)>& work);

    // The right to use the pool for a whole run of a net. Whoever comes while another has it, or in a process that
    // was forked (threads do not survive a fork), works alone.
    class Lease {
     public:
        Lease(ThreadPool* pool, bool is_wanted);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        std::size_t n_threads() const { return pool_ ? pool_->n_threads() : 1; }
        void run(std::size_t n_tasks, const std::function<void(std::size_t, std::size_t)>& work) const;

     private:
        ThreadPool* pool_;
    };

 private:
    void serve(std::size_t thread);
    bool take_task(std::size_t thread);

    std::vector<std::thread> workers_;
    std::mutex in_use_, sleep_;
    std::condition_variable wake_;
    // Tasks of the current round in the upper half, the next one to be taken in the lower: both change at once, so a
    // thread that comes late can never take a task of a round that is over.
    std::atomic<std::uint64_t> ticket_{0};
    std::atomic<std::size_t> n_done_{0};
    std::atomic<bool> is_awake_{false}, is_over_{false};
    const std::function<void(std::size_t, std::size_t)>* work_ = nullptr;
    long process_;
};

}  // namespace bimetal
