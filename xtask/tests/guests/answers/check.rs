    // The last VM is the consumer. The ring is the hypervisor's own: guests get copies of it.
    let mut ring = Ring::new(Capacity::DEFAULT);
    let mut accounts = vec![Digest::default(); vms.len()];
    for turn in 0..TURNS {
        let (now, next) = (turn % vms.len(), (turn + 1) % vms.len());
        run(&mut vms[now], &StopReason::TurnEnded)?;
        let role = if now + 1 == vms.len() { Role::Consumer } else { Role::Producer };
        let claim = mailbox(&vms[now])?;
        let items = transition::check(role, Quota::Random, &ring, &claim, accounts[now])
            .map_err(|violation| format!("VM {} broke a rule: {violation}", now + 1))?;
        transition::adopt(role, &mut ring, &items).map_err(|_| "the items are of another ring")?;
        accounts[now] = accounts[now].with_all(&items);
        println!("turn {}, VM {}: {} items moved, {} in the ring", turn + 1, now + 1, items.len(), ring.pointers().count);
        vms[next].write_mailbox(Mailbox::new(Quota::Random, &ring).as_bytes())?;
    }
    Ok(())
}
