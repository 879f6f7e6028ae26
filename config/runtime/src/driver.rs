//! Runs one machine until it is told to stop or its inputs end.
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use model::Machine;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::stop::Stop;

/// Inputs that are taken in together: their records share one write to the log.
const BATCH_MAX: usize = 256;
/// What is left after this waits for the next turn: deadlines come between, or batches of tens of thousands of alerts would
/// keep a page waiting.
const BATCH_TIME_MAX: Duration = Duration::from_millis(100);
/// The longest wait before the clock is asked again: a wall clock that is set forward is noticed this soon.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Carries out what a machine decided.
pub trait Shell<M: Machine>: Send {
    /// Carries out one batch's commands in order. What must be true before anything else happens (persisting) is
    /// awaited here; what may be slow goes to a task of its own and comes back to the machine as an input.
    /// A command that fails comes back as an input too. Views for readers are published here, from `machine`.
    fn carry_out(
        &mut self,
        machine: &M,
        commands: Vec<M::Command>,
        events: Vec<M::Event>,
    ) -> impl Future<Output = ()> + Send;

    /// In what time the shell wants another turn, though nothing may have been decided: something of before is left to be
    /// done. It gets one with an empty batch.
    fn retry_in(&self) -> Option<Duration> {
        None
    }

    /// How long the machine thought about the batch that is carried out next.
    fn note_thought(&mut self, _took: Duration) {}
}

/// Feeds inputs and deadlines to `machine` and hands what it decides to `shell`. Returns the machine when `stop`
/// is given (after the inputs that had already arrived) or when every sender of inputs is gone.
pub async fn drive<M, S>(
    mut machine: M,
    mut inputs: mpsc::Receiver<M::Input>,
    clock: Arc<dyn Clock>,
    mut shell: S,
    mut stop: Stop,
) -> M
where
    M: Machine,
    S: Shell<M>,
{
    // They grow with what comes: thousands of machines may stand in one process, of which most are told little.
    let mut received = Vec::new();
    let mut batch = VecDeque::new();
    let mut open = true;
    // What a machine decided while it was restored is carried out before the first input.
    settle(&mut machine, &mut shell).await;
    while open || !batch.is_empty() {
        let wait = machine
            .poll_timeout()
            .map(|deadline| deadline.saturating_since(clock.now()));
        let wait = [wait, shell.retry_in()].into_iter().flatten().min();
        if batch.is_empty() {
            tokio::select! {
                biased;
                count = inputs.recv_many(&mut received, BATCH_MAX) => open = count > 0,
                () = stop.stopped() => {
                    inputs.close();
                    while let Some(input) = inputs.recv().await {
                        received.push(input);
                    }
                    open = false;
                }
                () = sleep(wait) => {}
            }
            batch.extend(received.drain(..));
        }
        let begun = Instant::now();
        let batch_begun = clock.now();
        while let Some(input) = batch.pop_front() {
            machine.handle(input, clock.now());
            if clock.now().saturating_since(batch_begun) >= BATCH_TIME_MAX {
                break;
            }
        }
        let now = clock.now();
        if open
            && machine
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
        {
            machine.handle_timeout(now);
        }
        shell.note_thought(begun.elapsed());
        settle(&mut machine, &mut shell).await;
    }
    machine
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait.min(WAIT_MAX)).await,
        None => std::future::pending().await,
    }
}

async fn settle<M: Machine, S: Shell<M>>(machine: &mut M, shell: &mut S) {
    let events: Vec<M::Event> = std::iter::from_fn(|| machine.poll_event()).collect();
    let commands: Vec<M::Command> = std::iter::from_fn(|| machine.poll_command()).collect();
    let retries = shell.retry_in().is_some_and(|wait| wait.is_zero());
    if retries || !(events.is_empty() && commands.is_empty()) {
        shell.carry_out(machine, commands, events).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use model::{Machine, Timestamp};
    use tokio::sync::mpsc;

    use super::{Shell, drive};
    use crate::clock::{ManualClock, SystemClock};
    use crate::stop::Stopper;

    /// Adds what it is given, and says the sum aloud at its deadline.
    #[derive(Default)]
    struct Adder {
        sum: u32,
        due: Option<Timestamp>,
        said: Option<u32>,
    }

    impl Machine for Adder {
        type Input = u32;
        type Command = u32;
        type Event = ();

        fn handle(&mut self, input: u32, now: Timestamp) {
            self.sum += input;
            self.due = Some(now + Duration::from_millis(5));
        }

        fn handle_timeout(&mut self, _now: Timestamp) {
            self.due = None;
            self.said = Some(self.sum);
        }

        fn poll_command(&mut self) -> Option<u32> {
            self.said.take()
        }

        fn poll_event(&mut self) -> Option<()> {
            None
        }

        fn poll_timeout(&self) -> Option<Timestamp> {
            self.due
        }
    }

    /// Wants turns until it had enough of them.
    struct Waiting {
        turns: u32,
        said: mpsc::Sender<u32>,
    }

    impl Shell<Adder> for Waiting {
        async fn carry_out(&mut self, _machine: &Adder, commands: Vec<u32>, _events: Vec<()>) {
            assert!(commands.is_empty());
            self.turns -= 1;
            self.said.send(self.turns).await.unwrap();
        }

        fn retry_in(&self) -> Option<Duration> {
            (self.turns > 0).then_some(Duration::ZERO)
        }
    }

    #[tokio::test]
    async fn a_shell_that_has_something_left_to_do_gets_turns_without_an_input() {
        let (_inputs, receiver) = mpsc::channel(8);
        let (said, mut heard) = mpsc::channel(8);
        let (stopper, stop) = Stopper::new();
        let shell = Waiting { turns: 2, said };
        let driven = tokio::spawn(drive(
            Adder::default(),
            receiver,
            Arc::new(SystemClock::new()),
            shell,
            stop,
        ));
        assert_eq!((heard.recv().await, heard.recv().await), (Some(1), Some(0)));
        stopper.stop();
        driven.await.unwrap();
        assert_eq!(heard.recv().await, None);
    }

    struct Listener(mpsc::Sender<u32>);

    impl Shell<Adder> for Listener {
        async fn carry_out(&mut self, _machine: &Adder, commands: Vec<u32>, _events: Vec<()>) {
            for command in commands {
                self.0.send(command).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn inputs_and_deadlines_reach_the_machine_and_stopping_takes_in_what_has_arrived() {
        let (inputs, receiver) = mpsc::channel(8);
        let (said, mut heard) = mpsc::channel(8);
        let (stopper, stop) = Stopper::new();
        let driven = tokio::spawn(drive(
            Adder::default(),
            receiver,
            Arc::new(SystemClock::new()),
            Listener(said),
            stop,
        ));
        inputs.send(2).await.unwrap();
        inputs.send(3).await.unwrap();
        let mut sum = 0;
        while sum != 5 {
            sum = heard.recv().await.unwrap();
        }
        inputs.send(4).await.unwrap();
        stopper.stop();
        assert_eq!(driven.await.unwrap().sum, 9);
    }

    /// Takes its time for each input.
    struct Thinker {
        clock: Arc<ManualClock>,
        handled: u32,
        due: Option<Timestamp>,
        at_deadline: Option<u32>,
    }

    impl Machine for Thinker {
        type Input = ();
        type Command = ();
        type Event = ();

        fn handle(&mut self, (): (), now: Timestamp) {
            self.handled += 1;
            self.clock.set(now + Duration::from_millis(40));
        }

        fn handle_timeout(&mut self, _now: Timestamp) {
            self.due = None;
            self.at_deadline = Some(self.handled);
        }

        fn poll_command(&mut self) -> Option<()> {
            None
        }

        fn poll_event(&mut self) -> Option<()> {
            None
        }

        fn poll_timeout(&self) -> Option<Timestamp> {
            self.due
        }
    }

    struct Deaf;

    impl Shell<Thinker> for Deaf {
        async fn carry_out(&mut self, _machine: &Thinker, _: Vec<()>, _: Vec<()>) {}
    }

    #[tokio::test]
    async fn deadlines_come_between_inputs_that_take_long() {
        let start = Timestamp::from_secs(1000);
        let clock = Arc::new(ManualClock::at(start));
        let machine = Thinker {
            clock: Arc::clone(&clock),
            handled: 0,
            due: Some(start + Duration::from_millis(50)),
            at_deadline: None,
        };
        let (inputs, receiver) = mpsc::channel(256);
        for _ in 0..200 {
            inputs.send(()).await.unwrap();
        }
        drop(inputs);
        let (_stopper, stop) = Stopper::new();
        let machine = drive(machine, receiver, clock, Deaf, stop).await;
        assert_eq!(machine.at_deadline, Some(3), "100 ms have passed");
        assert_eq!(machine.handled, 200);
    }
}
