<?php
// As Nextcloud's OC\Mail\Mailer makes a transport of its configuration.
use Symfony\Component\Mailer\Mailer;
use Symfony\Component\Mailer\Transport\Smtp\EsmtpTransport;
use Symfony\Component\Mime\Email;

require '/usr/share/php/Symfony/Component/Mailer/autoload.php';
require 'smtp.config.php';

$CONFIG['mail_smtpmode'] === 'smtp' && $CONFIG['mail_smtpauth'] || exit(3);
$transport = new EsmtpTransport($CONFIG['mail_smtphost'], $CONFIG['mail_smtpport'],
    $CONFIG['mail_smtpsecure'] === 'ssl');
$transport->setUsername($CONFIG['mail_smtpname']);
$transport->setPassword($CONFIG['mail_smtppassword']);
(new Mailer($transport))->send((new Email())
    ->from($CONFIG['mail_from_address'] . '@' . $CONFIG['mail_domain'])
    ->to($argv[1])->subject('A test mail')->text('It works.'));
