//! Microsoft's mock TDS server, with a certificate made on the spot.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use harness::server::tls::Certificate;
use mssql_mock_tds::{MockTdsServer, create_test_identity};

/// Where to listen, and in which mode.
#[derive(Parser)]
#[command(about)]
struct Options {
    /// Address and port to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Encryption to speak.
    #[arg(long, value_enum, default_value = "none")]
    mode: Mode,
    /// Writes the certificate here, in PEM.
    #[arg(long, value_name = "FILE")]
    certificate_out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    None,
    Optional,
    Strict,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let listen = options.listen.as_str();
    let server = match options.mode {
        Mode::None => MockTdsServer::new(listen).await?,
        Mode::Optional => MockTdsServer::new_with_tls(listen, Some(options.identity()?)).await?,
        Mode::Strict => MockTdsServer::new_with_strict_tls(listen, options.identity()?).await?,
    };
    println!("listening {}", server.local_addr());
    server.run().await?;
    Ok(())
}

impl Options {
    fn identity(&self) -> Result<native_tls::Identity> {
        let certificate = Certificate::self_signed("localhost", 30)?;
        let pem = certificate.certificate_pem()?;
        if let Some(path) = &self.certificate_out {
            std::fs::write(path, &pem)?;
        }
        create_test_identity(&pem, &certificate.key_pem()?)
            .map_err(|error| anyhow!("the certificate does not suit the mock: {error}"))
    }
}
