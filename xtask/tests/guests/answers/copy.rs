fn exchange(vms: &mut [Machine], from: usize, to: usize) -> Result<(), Box<dyn Error>> {
    let Mailbox { pointers, slots, .. } = mailbox(&vms[from])?;
    let next = Mailbox { pointers, slots, ..mailbox(&vms[to])? };
    vms[to].write_mailbox(next.as_bytes())?;
    Ok(())
}
