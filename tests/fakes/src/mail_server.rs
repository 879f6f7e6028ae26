//! A mail server on loopback: its rules, its mailbox, and the sessions it had.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use runtime::SystemClock;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

use crate::event::FakeEvent;
use crate::ledger::{Ledger, RECORDS_MAX, Stage, TimedOut};
use crate::mail_rules::{MailFault, MailHouse, MailLedger, MailRules, MailSession};
use crate::mailbox::Mail;
use crate::server::{bind, without_delay};
use crate::smtp::serve;
use crate::tls::Tls;

pub struct MailServer {
    ledger: Arc<MailLedger>,
    address: SocketAddr,
    tls: Tls,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl MailServer {
    /// # Panics
    /// Where loopback has no free port.
    pub async fn start(rules: MailRules) -> Self {
        Self::on_stage(rules, Stage::new(Arc::new(SystemClock::new()))).await
    }

    pub(crate) async fn on_stage(rules: MailRules, stage: Stage) -> Self {
        let (listener, address) = bind().await;
        let tls = Tls::new();
        let house = MailHouse {
            rules,
            ..MailHouse::default()
        };
        let ledger = Arc::new(Ledger::new(house, stage));
        let accepting = tokio::spawn(accept(listener, ledger.clone(), tls.clone()));
        Self {
            ledger,
            address,
            tls,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `smtp://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What a client must trust to speak TLS here, as `localhost` or `127.0.0.1`.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        self.tls.certificate_pem()
    }

    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.look(|house| house.mailbox.clone())
    }

    #[must_use]
    pub fn sessions(&self) -> Vec<MailSession> {
        self.ledger.look(|pages| pages.records.clone())
    }

    pub fn look<Seen>(&self, look: impl FnOnce(&MailHouse) -> Seen) -> Seen {
        self.ledger.look(|pages| look(&pages.state))
    }

    /// Changes the rules, for sessions that begin after it.
    pub fn change<Said>(&self, change: impl FnOnce(&mut MailHouse) -> Said) -> Said {
        self.ledger.write(|pages| change(&mut pages.state))
    }

    /// Plays `fault` on the next `count` sessions that no earlier order hits.
    pub fn fail_next(&self, count: u64, fault: MailFault) {
        self.ledger.write(|pages| {
            let seen = pages.records.len() as u64;
            pages.faults.next(seen, count, fault);
        });
    }

    /// Plays `fault` on the session of that number, counted from 0 since the start; before any other order.
    pub fn fail_session(&self, number: u64, fault: MailFault) {
        self.ledger.write(|pages| pages.faults.at(number, fault));
    }

    /// Forgets all orders for sessions to come.
    pub fn heal(&self) {
        self.ledger.write(|pages| pages.faults.heal());
    }

    /// Waits until `look` finds something; it is asked at once and after every change.
    pub async fn wait_for<Seen>(
        &self,
        within: Duration,
        look: impl FnMut(&MailHouse, &[MailSession]) -> Option<Seen>,
    ) -> Result<Seen, TimedOut> {
        self.ledger.wait_for(within, look).await
    }

    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<FakeEvent> {
        self.ledger.stage.events.subscribe()
    }

    /// Closes the port and all sessions.
    pub async fn stop(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Aborted on purpose: how it ended says nothing.
            let _ = accepting.await;
        }
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().take() {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, ledger: Arc<MailLedger>, tls: Tls) {
    let mut sessions = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while sessions.try_join_next().is_some() {}
        without_delay(&stream);
        let at = ledger.stage.clock.now();
        let begun = ledger.write(|pages| {
            if pages.records.len() >= RECORDS_MAX {
                return None;
            }
            let number = pages.records.len() as u64;
            pages.records.push(MailSession {
                number,
                arrived_at: at,
                said: Vec::new(),
                ended: false,
            });
            Some((number, pages.faults.take(number), pages.state.rules.clone()))
        });
        if let Some((number, fault, rules)) = begun {
            sessions.spawn(serve(
                stream,
                number,
                rules,
                fault,
                ledger.clone(),
                tls.acceptor(),
            ));
        }
    }
}
