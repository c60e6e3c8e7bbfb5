#include "pool.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(_WIN32)
#include <process.h>
#define getpid _getpid
#else
#include <unistd.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace bimetal {

namespace {

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void pin(std::thread& thread, int cpu) {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(cpu), &set);
    pthread_setaffinity_np(thread.native_handle(), sizeof set, &set);
#else
    (void)thread, (void)cpu;
#endif
}

}  // namespace

ThreadPool::ThreadPool(std::size_t n_threads, const std::vector<int>& cpus) : process_(getpid()) {
    for (std::size_t t = 1; t < n_threads; t++) {
        workers_.emplace_back([this, t] { serve(t); });
        if (t < cpus.size()) pin(workers_.back(), cpus[t]);
    }
}

void ThreadPool::Release::operator()(ThreadPool* pool) const {
    if (getpid() == pool->process_) delete pool;
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard<std::mutex> lock(sleep_);
        is_over_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
}

bool ThreadPool::take_task(std::size_t thread) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while ((ticket & 0xFFFFFFFFu) < ticket >> 32) {
        if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acquire)) continue;
        (*work_)(ticket & 0xFFFFFFFFu, thread);  // the round lasts until this task is done, so work_ is the round's
        n_done_.fetch_add(1, std::memory_order_release);
        return true;
    }
    return false;
}

// Asleep until a lease wakes the pool. After the last task a thread looks around a little longer: calls often come in
// quick succession.
void ThreadPool::serve(std::size_t thread) {
    constexpr int kPatience = 2000;
    for (;;) {
        {
            std::unique_lock<std::mutex> lock(sleep_);
            wake_.wait(lock, [this] { return is_awake_ || is_over_; });
            if (is_over_) return;
        }
        for (int left = kPatience; left > 0; left--) {
            if (take_task(thread) || is_awake_.load(std::memory_order_acquire)) left = kPatience;
            relax();
        }
    }
}

void ThreadPool::run(std::size_t n_tasks, const std::function<void(std::size_t, std::size_t)>& work) {
    work_ = &work;
    n_done_.store(0, std::memory_order_relaxed);
    ticket_.store(static_cast<std::uint64_t>(n_tasks) << 32, std::memory_order_release);
    while (take_task(0)) {
    }
    while (n_done_.load(std::memory_order_acquire) < n_tasks) relax();
}

ThreadPool::Lease::Lease(ThreadPool* pool, bool is_wanted) : pool_(nullptr) {
    if (!is_wanted || !pool || pool->workers_.empty() || getpid() != pool->process_) return;
    if (!pool->in_use_.try_lock()) return;
    pool_ = pool;
    {
        const std::lock_guard<std::mutex> lock(pool->sleep_);
        pool->is_awake_ = true;
    }
    pool->wake_.notify_all();
}

ThreadPool::Lease::~Lease() {
    if (!pool_) return;
    pool_->is_awake_.store(false, std::memory_order_release);
    pool_->in_use_.unlock();
}

void ThreadPool::Lease::run(std::size_t n_tasks, const std::function<void(std::size_t, std::size_t)>& work) const {
    if (pool_ && n_tasks > 1) return pool_->run(n_tasks, work);
    for (std::size_t task = 0; task < n_tasks; task++) work(task, 0);
}

}  // namespace bimetal
