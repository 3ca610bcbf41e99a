    while !HAPPENED.load(Ordering::Relaxed) {
        prepare();
        interrupts::disable();
        if !HAPPENED.load(Ordering::Relaxed) {
            interrupts::wait();
        }
        interrupts::enable();
    }
